-- The ledger of paid calls, what a person may spend, and how long provider, models and Storage are left alone.

create table carousel_private.provider_calls (
  id bigint generated always as identity not null,
  job_id uuid not null,
  image_id uuid not null,
  user_id uuid not null,
  worker_id uuid not null,
  attempt integer not null,
  model text not null,
  started_at timestamptz default now() not null,
  finished_at timestamptz,
  outcome text,
  request_id text,
  usage jsonb,
  cost_usd numeric(12,6),
  object_name text,
  previews integer,
  unbilled boolean default false not null,
  estimated_usd numeric(12,6) default 0.25 not null,
  constraint provider_calls_pkey primary key (id),
  constraint finished_exactly_with_an_outcome check ((finished_at is not null) = (outcome is not null))
);
comment on table carousel_private.provider_calls is 'A row before each paid call, finished after it. A call without an end was perhaps paid for nothing. Outlives its job, for the books.';
comment on column carousel_private.provider_calls.id is 'Primary key.';
comment on column carousel_private.provider_calls.job_id is 'Job that it was made for; the job may be gone.';
comment on column carousel_private.provider_calls.image_id is 'Image that it was made for; the image may be gone.';
comment on column carousel_private.provider_calls.user_id is 'Who it was made for.';
comment on column carousel_private.provider_calls.worker_id is 'Worker that made it.';
comment on column carousel_private.provider_calls.attempt is 'The job''s attempt.';
comment on column carousel_private.provider_calls.model is 'Model that was asked.';
comment on column carousel_private.provider_calls.started_at is 'Before the request was sent.';
comment on column carousel_private.provider_calls.finished_at is 'When its outcome was known.';
comment on column carousel_private.provider_calls.outcome is 'completed, or the code of the failure.';
comment on column carousel_private.provider_calls.request_id is 'The provider''s id of the call.';
comment on column carousel_private.provider_calls.usage is 'Tokens as the provider reported them.';
comment on column carousel_private.provider_calls.cost_usd is 'Cost in dollars; null when unknown.';
comment on column carousel_private.provider_calls.object_name is 'Name of the picture in {user_id}/jobs/{job_id}/, chosen before the call; null for calls of earlier versions.';
comment on column carousel_private.provider_calls.previews is 'How many previews it may put beside the picture.';
comment on column carousel_private.provider_calls.unbilled is 'Whether the provider is known not to have billed it. All others count: an image is perhaps paid for twice, and no oftener.';
comment on column carousel_private.provider_calls.estimated_usd is 'Dollars that it counts for while its cost is not known, unless it is known not to have been billed.';

create index provider_calls_of_job on carousel_private.provider_calls (job_id);
create index provider_calls_of_user on carousel_private.provider_calls (user_id, started_at);
create index provider_calls_by_time on carousel_private.provider_calls (started_at);

grant select, insert, update, delete on carousel_private.provider_calls to carousel_worker;

create table carousel_private.limits (
  id bigint generated always as identity not null,
  user_id uuid,
  max_active_jobs integer,
  max_images_a_day integer,
  max_usd_a_month numeric(12,2),
  constraint limits_pkey primary key (id),
  constraint one_row_a_user unique nulls not distinct (user_id),
  constraint limits_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
  constraint limits_max_active_jobs_check check ((max_active_jobs >= 0)),
  constraint limits_max_images_a_day_check check ((max_images_a_day >= 0)),
  constraint limits_max_usd_a_month_check check ((max_usd_a_month >= (0)::numeric))
);
comment on table carousel_private.limits is 'What one user may ask for. The row without a user holds for everyone who has no row; without any row there is no limit.';
comment on column carousel_private.limits.id is 'Primary key.';
comment on column carousel_private.limits.user_id is 'User, or null for everyone without a row.';
comment on column carousel_private.limits.max_active_jobs is 'Jobs pending or processing at once; null for no limit.';
comment on column carousel_private.limits.max_images_a_day is 'Paid calls in 24 hours, those counted that may have been billed; a job is refused with those that wait. Null for no limit.';
comment on column carousel_private.limits.max_usd_a_month is 'Dollars since the first of the month, UTC; calls without a known cost count for what they may cost. Null for no limit.';

grant select on carousel_private.limits to carousel_worker;

create table carousel_private.provider_budget (
  provider text not null,
  images_per_minute integer,
  next_at timestamptz default now() not null,
  paused_until timestamptz,
  paused_reason text,
  updated_at timestamptz default now() not null,
  constraint provider_budget_pkey primary key (provider),
  constraint provider_budget_images_per_minute_check check ((images_per_minute > 0))
);
comment on table carousel_private.provider_budget is 'The rate that every worker with the same provider key shares, and how long the provider or Storage is left alone.';
comment on column carousel_private.provider_budget.provider is 'Name of the provider key; storage for the bucket.';
comment on column carousel_private.provider_budget.images_per_minute is 'Calls a minute over all workers; null for no limit.';
comment on column carousel_private.provider_budget.next_at is 'When the next call may start.';
comment on column carousel_private.provider_budget.paused_until is 'No claims before this time.';
comment on column carousel_private.provider_budget.paused_reason is 'Why, in words for the operator.';
comment on column carousel_private.provider_budget.updated_at is 'When the row last changed.';

grant select, insert, update, delete on carousel_private.provider_budget to carousel_worker;

create table carousel_private.model_pauses (
  model text not null,
  paused_until timestamptz not null,
  reason text not null,
  updated_at timestamptz default now() not null,
  constraint model_pauses_pkey primary key (model)
);
comment on table carousel_private.model_pauses is 'Models that jobs have chosen and that are left alone for a while. Other models go on.';
comment on column carousel_private.model_pauses.model is 'As jobs name it.';
comment on column carousel_private.model_pauses.paused_until is 'No job that has chosen it is begun before this time.';
comment on column carousel_private.model_pauses.reason is 'Why, in words for the operator.';
comment on column carousel_private.model_pauses.updated_at is 'When the row last changed.';

grant select, insert, update, delete on carousel_private.model_pauses to carousel_worker;

create function carousel_private.require_within_limits(job uuid, owner uuid, images integer) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  allowed constant carousel_private.limits := carousel_private.limits_of(owner);
  active uuid[];
  used bigint;
begin
  if allowed.id is null then
    return;
  end if;
  -- One user's requests take their turn, so that two at once can't pass a limit together.
  perform pg_advisory_xact_lock(hashtextextended('carousel user ' || owner::text, 0));
  -- What waits is in the queue, what is worked on is leased, and what this statement has added is in neither yet.
  select array_agg(id) into active
    from (
      select job_id as id from carousel_private.queue where user_id = owner
      union
      select job_id from carousel_private.leases where user_id = owner
      union
      select id from public.image_generation_jobs where user_id = owner and created_at = now() and stage = 'queued'
    ) as unfinished
    where id <> job;
  if cardinality(active) >= allowed.max_active_jobs or allowed.max_active_jobs = 0 then
    raise exception 'you have % unfinished jobs, and your limit is %', coalesce(cardinality(active), 0), allowed.max_active_jobs
      using errcode = 'PT429', detail = 'too_many_active_jobs', hint = 'Wait for one to finish, or cancel one.';
  end if;
  if allowed.max_images_a_day is not null then
    -- What was called for, and what unfinished jobs have yet to call for.
    select carousel_private.calls_today(owner, allowed.max_images_a_day)
        + coalesce(sum(greatest(0, waiting.total_images - greatest(waiting.completed_images, made.calls))), 0) into used
      from public.image_generation_jobs waiting
      cross join lateral (
        select count(*) as calls
        from carousel_private.provider_calls call
        where call.job_id = waiting.id and not call.unbilled and call.started_at >= coalesce(waiting.retry_requested_at, '-infinity')
      ) as made
      where waiting.id = any (active);
    if used + images > allowed.max_images_a_day then
      raise exception 'this job''s % images would make % in 24 hours, and your limit is %', images, used + images, allowed.max_images_a_day
        using errcode = 'PT429', detail = 'too_many_images_a_day', hint = 'Ask for fewer images, or wait.';
    end if;
  end if;
  if (case when allowed.max_usd_a_month is not null then carousel_private.dollars_this_month(owner) >= allowed.max_usd_a_month end) then
    raise exception 'this month''s budget of % dollars is spent', allowed.max_usd_a_month
      using errcode = 'PT429', detail = 'monthly_budget_spent', hint = 'Wait for the next month, or ask for a larger budget.';
  end if;
end
$$;
comment on function carousel_private.require_within_limits(uuid, uuid, integer)
  is 'Refuses a job that would go over its owner''s limits.';
revoke execute on function carousel_private.require_within_limits(uuid, uuid, integer) from public;

create function carousel_private.pause_left() returns double precision
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return greatest(0, coalesce(extract(epoch from (select max(paused_until) from carousel_private.provider_budget) - clock_timestamp()), 0));
end
$$;
comment on function carousel_private.pause_left()
  is 'Seconds for which the provider or Storage is to be left alone; 0 when neither is.';
revoke execute on function carousel_private.pause_left() from public;
grant execute on function carousel_private.pause_left() to carousel_worker;

create function carousel_private.admit_owner() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Before anything is looked up for that user: a policy would refuse the row only after its other triggers. Nobody's token is the secret key's.
  if new.user_id <> auth.uid() then
    raise exception 'user_id is not your own'
      using errcode = '42501', detail = 'user_foreign', hint = 'Leave user_id out: it is filled with the signed-in user.';
  end if;
  return new;
end
$$;
comment on function carousel_private.admit_owner()
  is 'Refuses rows that a signed-in person adds for somebody else. Its triggers come before all that look something up.';
revoke execute on function carousel_private.admit_owner() from public;
create trigger admit_owner before insert on public.image_generation_templates
  for each row execute function carousel_private.admit_owner();
create trigger admit_owner before insert on public.image_generation_jobs
  for each row execute function carousel_private.admit_owner();

create function carousel_private.limits_of(owner uuid) returns carousel_private.limits
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  allowed carousel_private.limits;
begin
  select * into allowed from carousel_private.limits where user_id = owner;
  if not found then
    select * into allowed from carousel_private.limits where user_id is null;
  end if;
  return allowed;
end
$$;
comment on function carousel_private.limits_of(uuid)
  is 'A user''s own limits, or else everyone''s; nulls when there are none.';
revoke execute on function carousel_private.limits_of(uuid) from public;
grant execute on function carousel_private.limits_of(uuid) to carousel_worker;

create function carousel_private.dollars_this_month(owner uuid) returns numeric
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(sum(coalesce(cost_usd, case when unbilled then 0 else estimated_usd end)), 0)
    from carousel_private.provider_calls
    where user_id = owner and started_at >= date_trunc('month', now() at time zone 'utc') at time zone 'utc'
  );
end
$$;
comment on function carousel_private.dollars_this_month(uuid)
  is 'What a user has spent since the first of the month, UTC; calls whose cost is not known count for what they may cost.';
revoke execute on function carousel_private.dollars_this_month(uuid) from public;
grant execute on function carousel_private.dollars_this_month(uuid) to carousel_worker;

create function carousel_private.calls_today(owner uuid, most integer) returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select count(*)
    from (
      select from carousel_private.provider_calls
      where user_id = owner and started_at > now() - interval '24 hours' and not unbilled
      limit most
    ) as call
  );
end
$$;
comment on function carousel_private.calls_today(uuid, integer)
  is 'A user''s calls of the last 24 hours that may have been billed, counted to most.';
revoke execute on function carousel_private.calls_today(uuid, integer) from public;
grant execute on function carousel_private.calls_today(uuid, integer) to carousel_worker;

create function carousel_private.hold_calls(owner uuid, if_held text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  allowed constant carousel_private.limits := carousel_private.limits_of(owner);
  key constant bigint := hashtextextended('carousel calls of ' || owner::text, 0);
begin
  if allowed.id is null then
    return true;
  elsif if_held = ' skip locked' then
    return pg_try_advisory_xact_lock(key);
  end if;
  -- Workers hold it for one statement, and clients never do.
  perform pg_advisory_xact_lock(key);
  return true;
end
$$;
comment on function carousel_private.hold_calls(uuid, text)
  is 'Lets no other worker begin a call for a user with limits until the transaction ends. False when another one is about to, and if_held is " skip locked".';
revoke execute on function carousel_private.hold_calls(uuid, text) from public;
grant execute on function carousel_private.hold_calls(uuid, text) to carousel_worker;

create function carousel_private.open_call(
  job uuid, image uuid, owner uuid, worker uuid, job_attempt integer, asked_model text, object text, preview_count integer,
  estimate numeric, out call bigint, out code text, out words text
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  allowed constant carousel_private.limits := carousel_private.limits_of(owner);
begin
  if allowed.max_usd_a_month is not null and estimate is null then
    code := 'model_without_price';
    words := format('The model %s has no price here, and you have a budget. Choose another one.', asked_model);
  elsif (case when allowed.max_usd_a_month is not null then carousel_private.dollars_this_month(owner) >= allowed.max_usd_a_month end) then
    code := 'monthly_budget_spent';
    words := format('This month''s budget of %s dollars is spent. Ask for the rest with a retry next month, or ask for a larger budget.', allowed.max_usd_a_month);
  elsif (case when allowed.max_images_a_day is not null then carousel_private.calls_today(owner, allowed.max_images_a_day) >= allowed.max_images_a_day end) then
    code := 'too_many_images_a_day';
    words := format('The limit of %s images in 24 hours is reached. Ask for the rest with a retry later.', allowed.max_images_a_day);
  else
    insert into carousel_private.provider_calls (
      job_id, image_id, user_id, worker_id, attempt, model, object_name, previews, estimated_usd
    ) values (
      job, image, owner, worker, job_attempt, asked_model, object, preview_count, coalesce(estimate, 0.25)
    ) returning id into call;
  end if;
end
$$;
comment on function carousel_private.open_call(uuid, uuid, uuid, uuid, integer, text, text, integer, numeric)
  is 'Writes down that a paid call begins, or says why its owner may not have it. Call it once hold_calls has said yes.';
revoke execute on function carousel_private.open_call(uuid, uuid, uuid, uuid, integer, text, text, integer, numeric) from public;
grant execute on function carousel_private.open_call(uuid, uuid, uuid, uuid, integer, text, text, integer, numeric) to carousel_worker;

create function carousel_private.pause_left(of_model text) returns double precision
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return greatest(
    carousel_private.pause_left(),
    coalesce(extract(epoch from (select paused_until from carousel_private.model_pauses where model = of_model) - clock_timestamp()), 0)
  );
end
$$;
comment on function carousel_private.pause_left(text)
  is 'Seconds for which this model is to be left alone, or the provider, or Storage; 0 when none is.';
revoke execute on function carousel_private.pause_left(text) from public;
grant execute on function carousel_private.pause_left(text) to carousel_worker;

-- A new project has limits that no person meets who works by hand.
insert into carousel_private.limits (max_active_jobs, max_images_a_day) values (500, 1000);
