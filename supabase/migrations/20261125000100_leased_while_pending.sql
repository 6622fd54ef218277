-- A claim writes its lease only, and the job's row changes when the work on it has begun: for a moment a job is pending and leased.

create or replace function carousel_private.requeue_job() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  if new.status <> 'pending' then
    delete from carousel_private.queue where job_id = new.id;
    -- Cancelled before the work was shown: whoever claimed it finds that it is not theirs any more.
    delete from carousel_private.leases where job_id = new.id;
  elsif not exists (select from carousel_private.leases where job_id = new.id) then
    perform carousel_private.enqueue(new.id, new.user_id, new.priority, new.run_at, new.total_images);
    perform pg_notify('carousel_jobs', case when new.run_at > now() then 'scheduled' else '' end);
  end if;
  return null;
end
$$;
comment on function carousel_private.requeue_job() is 'Keeps the queue to what is pending and not leased, and wakes the workers.';

comment on column carousel_private.leases.attempt is 'The job''s attempt that it belongs to; the job''s row has it once the work has begun.';

-- A job that was interrupted before it was started again may end with some of its images: from pending to partial.
create or replace function carousel_private.change_job() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  all_made boolean;
begin
  -- Not the time of the transaction: one that waited for another would seem to be the earlier.
  new.updated_at := clock_timestamp();

  if new.retry_requested_at is distinct from old.retry_requested_at and new.status = old.status then
    if old.status in ('partial', 'failed', 'cancelled') and new.retry_requested_at is not null then
      -- What is made again is asked for again.
      perform carousel_private.require_within_limits(new.id, new.user_id, new.total_images);
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
    if old.status = 'pending' and new.cancel_requested_at is not null then
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

  if new.status <> old.status and (old.status, new.status) not in (
    ('pending', 'processing'), ('pending', 'completed'), ('pending', 'partial'), ('pending', 'failed'), ('pending', 'cancelled'),
    ('processing', 'pending'), ('processing', 'completed'), ('processing', 'partial'), ('processing', 'failed'), ('processing', 'cancelled'),
    ('partial', 'pending'), ('failed', 'pending'), ('cancelled', 'pending')
  ) then
    raise exception 'a job can''t go from % to %', old.status, new.status
      using errcode = '23514', detail = 'transition_forbidden', hint = 'Set cancel_requested_at or retry_requested_at instead of the status.';
  end if;
  return new;
end
$$;

-- Rows of images are added while others may already have begun to end their job: a statement does not see what came after its beginning,
-- a trigger does.
create function carousel_private.settle_images() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  update public.generated_carousel_images
    set status = case new.status when 'pending' then 'pending' when 'cancelled' then 'cancelled' else 'failed' end,
      preview_path = null,
      error_code = case when new.status in ('partial', 'failed') then new.error_code end,
      error_message = case when new.status in ('partial', 'failed') then new.error_message end
    where job_id = new.id and (status = 'generating' or (status = 'pending' and new.status <> 'pending'));
  return null;
end
$$;
comment on function carousel_private.settle_images() is 'Lets no image be made that belongs to no running job: it waits, is cancelled or fails with its job.';

revoke execute on function carousel_private.settle_images() from public;

create trigger settle_images after update on public.image_generation_jobs
  for each row
  when (old.status in ('pending', 'processing') and new.status is distinct from old.status and new.status not in ('processing', 'completed'))
  execute function carousel_private.settle_images();

comment on table public.generated_carousel_images is 'Generated images. Rows exist from the moment that the job is processing, so a page can draw its grid at once.';
