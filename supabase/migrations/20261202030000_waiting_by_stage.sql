-- Whether a job waits, or is over, is read from its stage, which says it as the status does: where the frontend from before carousel goes on,
-- the status has that one's words.

create or replace function carousel_private.change_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  all_made boolean;
begin
  -- Not the time of the transaction: one that waited for another would seem to be the earlier.
  new.updated_at := clock_timestamp();

  if new.retry_requested_at is distinct from old.retry_requested_at and new.status = old.status then
    if old.stage = 'finished' and old.completed_images < old.total_images and new.retry_requested_at is not null then
      -- What is made again is asked for again.
      perform carousel_private.require_within_limits(new.id, new.user_id, new.total_images - new.completed_images);
      -- So that other jobs of the same statement are counted with it; its turn comes after the update.
      insert into carousel_private.queue (job_id, user_id, priority, run_at, images)
        values (new.id, new.user_id, new.priority, now(), new.total_images)
        on conflict do nothing;
      new.retry_requested_at := now();
      new.cancel_requested_at := null;
      new.status := 'pending';
      new.stage := 'queued';
      new.run_at := now();
      new.attempt := 0;
      new.failed_images := 0;
      new.finished_at := null;
      new.error_code := null;
      new.error_message := null;
      new.message := 'Waiting to be made once more';
      update public.generated_carousel_images
        set status = 'pending', error_code = null, error_message = null
        where job_id = new.id and status in ('failed', 'cancelled');
      return new;
    end if;
    -- Nothing to make again, or not yet.
    new.retry_requested_at := old.retry_requested_at;
  end if;

  if new.cancel_requested_at is distinct from old.cancel_requested_at then
    if old.stage = 'queued' and new.cancel_requested_at is not null then
      -- A job that was interrupted has made some of its images, or all of them.
      select completed, failed, cost_usd, usage into new.completed_images, new.failed_images, new.cost_usd, new.usage
        from carousel_private.count_images(array[new.id]);
      all_made := new.completed_images = new.total_images;
      new.cancel_requested_at := now();
      new.status := case when all_made then 'completed' else 'cancelled' end;
      new.stage := 'finished';
      new.progress := case when all_made then 100 else new.progress end;
      new.finished_at := now();
      new.message := case
        when all_made then format('%s images are ready', new.completed_images)
        when new.started_at is null then 'Cancelled before it started'
        else format('Cancelled with %s of %s images ready', new.completed_images, new.total_images)
      end;
    elsif old.status = 'processing' and old.cancel_requested_at is null then
      new.cancel_requested_at := now();
      new.message := 'Cancelling';
      -- Only to be quick: the renewal of the lease brings the wish back as well.
      perform pg_notify('carousel_cancel', new.id::text);
    else
      -- A job that has ended stays as it is, and a wish once given is not taken back.
      new.cancel_requested_at := old.cancel_requested_at;
    end if;
  end if;

  -- What is over stays so, but for what can be made once more.
  if new.status <> old.status and old.stage = 'finished' and (new.stage <> 'queued' or old.completed_images = old.total_images) then
    raise exception 'a job can''t go from % to %', old.status, new.status
      using errcode = '23514', detail = 'transition_forbidden', hint = 'Set cancel_requested_at or retry_requested_at instead of the status.';
  end if;
  return new;
end
$$;

create or replace function carousel_private.requeue_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.stage <> 'queued' then
    delete from carousel_private.queue where job_id = new.id;
    -- Cancelled before the work was shown: whoever claimed it finds that it is not theirs any more.
    delete from carousel_private.leases where job_id = new.id;
  elsif not exists (select from carousel_private.leases where job_id = new.id) then
    perform carousel_private.enqueue(new.id, new.user_id, new.priority, new.run_at, new.total_images);
    if old.status = 'processing' then
      perform carousel_private.resume_turn(new.id);
    end if;
    perform pg_notify('carousel_jobs', case when new.run_at > now() then 'scheduled' else '' end);
  end if;
  return null;
end
$$;

create or replace function carousel_private.announce_jobs() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform carousel_private.enqueue(id, user_id, priority, run_at, total_images)
    from (select * from added where stage = 'queued' order by user_id, priority desc, created_at, id) as pending;
  -- One notification a statement, however many rows: the worker asks the queue what there is.
  perform pg_notify('carousel_jobs', case when bool_or(run_at > now()) then 'scheduled' else '' end)
    from added where stage = 'queued' having count(*) > 0;
  return null;
end
$$;

create or replace function carousel_private.settle_images() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.generated_carousel_images
    -- What was cancelled has no code; what failed has one.
    set status = case when new.stage = 'queued' then 'pending' when new.error_code is null then 'cancelled' else 'failed' end,
      preview_path = null,
      error_code = case when new.stage = 'finished' then new.error_code end,
      error_message = case when new.stage = 'finished' then new.error_message end
    where job_id = new.id and (status = 'generating' or (status = 'pending' and new.stage <> 'queued'));
  return null;
end
$$;

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

create or replace trigger requeue_job after update on public.image_generation_jobs
  for each row
  -- A claim takes its row out of the queue itself.
  when ((new.stage = 'queued' and (old.stage, old.run_at, old.priority) is distinct from (new.stage, new.run_at, new.priority))
    or (old.stage = 'queued' and new.stage = 'finished'))
  execute function carousel_private.requeue_job();
create or replace trigger settle_images after update on public.image_generation_jobs
  for each row
  when (old.stage <> 'finished' and new.status is distinct from old.status
    and (new.stage = 'queued' or (new.stage = 'finished' and new.completed_images < new.total_images)))
  execute function carousel_private.settle_images();

insert into carousel_private.migrations (version, name) values ('20261202030000', 'waiting_by_stage');
