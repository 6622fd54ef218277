-- Leaves provider $1 (or storage) alone for $2 seconds, for every worker; $3 says why.
insert into carousel_private.provider_budget as budget (provider, paused_until, paused_reason)
values ($1, now() + make_interval(secs => $2), $3)
on conflict (provider) do update set
    paused_until = greatest(budget.paused_until, excluded.paused_until),
    paused_reason = case when budget.paused_until > excluded.paused_until then budget.paused_reason else excluded.paused_reason end,
    updated_at = now()
