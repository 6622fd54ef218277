-- Billed tries are counted over workers and attempts: the ledger says of each call whether it may have been paid for.

alter table carousel_private.provider_calls add column unbilled boolean not null default false;
comment on column carousel_private.provider_calls.unbilled is 'Whether the provider is known not to have billed it. All others count: an image is perhaps paid for twice, and no oftener.';

-- Of calls that earlier versions ended, for the jobs that are under way.
update carousel_private.provider_calls
set unbilled = true
where started_at > now() - interval '1 day' and outcome in ('rate_limited', 'provider_overloaded', 'provider_unreachable');
