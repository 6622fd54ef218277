-- Limits count what outlives jobs: the ledger has a row for each paid call, whatever its owner cancels, deletes or asks for again. They are
-- asked when a job is asked for, with what waits counted as well, and again before each call.

-- Of calls that are in the ledger already nothing is guessed. What workers of earlier versions begin from now on is taken for this much.
alter table carousel_private.provider_calls add column estimated_usd numeric(12, 6) not null default 0;
alter table carousel_private.provider_calls alter column estimated_usd set default 0.25;
comment on column carousel_private.provider_calls.estimated_usd is 'Dollars that it counts for while its cost is not known, unless it is known not to have been billed.';

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
comment on function carousel_private.limits_of(uuid) is 'A user''s own limits, or else everyone''s; nulls when there are none.';
revoke execute on function carousel_private.limits_of(uuid) from public;
grant execute on function carousel_private.limits_of(uuid) to carousel_worker;

create function carousel_private.dollars_this_month(owner uuid) returns numeric
language plpgsql
volatile
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
comment on function carousel_private.dollars_this_month(uuid) is 'What a user has spent since the first of the month, UTC; calls whose cost is not known count for what they may cost.';
revoke execute on function carousel_private.dollars_this_month(uuid) from public;
grant execute on function carousel_private.dollars_this_month(uuid) to carousel_worker;

create function carousel_private.calls_today(owner uuid, most integer) returns integer
language plpgsql
volatile
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
comment on function carousel_private.calls_today(uuid, integer) is 'A user''s calls of the last 24 hours that may have been billed, counted to most.';
revoke execute on function carousel_private.calls_today(uuid, integer) from public;
grant execute on function carousel_private.calls_today(uuid, integer) to carousel_worker;

create or replace function carousel_private.require_within_limits(job uuid, owner uuid, images integer) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- As with turns: whatever the statistics say of tables that were empty once, rows are looked up.
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
      select id from public.image_generation_jobs where user_id = owner and created_at = now() and status = 'pending'
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

create function carousel_private.hold_calls(owner uuid, if_held text) returns boolean
language plpgsql
volatile
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
  job uuid, image uuid, owner uuid, worker uuid, job_attempt integer, asked_model text, object text, preview_count integer, estimate numeric,
  out call bigint, out code text, out words text
)
language plpgsql
volatile
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

comment on table carousel_private.limits is 'What one user may ask for. The row without a user holds for everyone who has no row; without any row there is no limit.';
comment on column carousel_private.limits.max_images_a_day is 'Paid calls in 24 hours, those counted that may have been billed; a job is refused with those that wait. Null for no limit.';
comment on column carousel_private.limits.max_usd_a_month is 'Dollars since the first of the month, UTC; calls without a known cost count for what they may cost. Null for no limit.';

-- A new project has limits that no person meets who works by hand.
do $$
begin
  if exists (select from carousel_private.limits) or exists (select from public.image_generation_jobs) then
    raise notice 'carousel_private.limits is left as it is: each person may have what its rows allow, and without any row there is no limit';
    return;
  end if;
  insert into carousel_private.limits (max_active_jobs, max_images_a_day) values (500, 1000);
  raise notice 'each person may have 500 unfinished jobs and 1000 images in 24 hours: update carousel_private.limits for other limits, and for a budget in max_usd_a_month';
end
$$;
