-- How a job ends, and in what words, stood in four places: the end of its work, its return by a worker, a lost worker, and a cancellation while it
-- waits. Now it stands here.

create function carousel_private.ending_of(
  total integer, shown integer, started_at timestamptz, completed bigint, failed bigint, image_code text, image_words text,
  cancelled boolean, code text, words text,
  out status text, out progress integer, out message text, out failed_images bigint, out error_code text, out error_message text
)
-- Not SQL: its plan would be made anew for each statement that calls it.
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  status := case when completed = total then 'completed' when cancelled then 'cancelled' when completed > 0 then 'partial' else 'failed' end;
  progress := case status when 'completed' then 100 else least(99, shown) end;
  failed_images := failed;
  if status in ('partial', 'failed') then
    -- What was not made has failed with the job.
    failed_images := total - completed;
    error_code := coalesce(code, image_code, 'internal');
    error_message := coalesce(words, image_words);
  end if;
  message := case status
    when 'completed' then format('%s images are ready', completed)
    when 'partial' then format('%s of %s images are ready', completed, total)
    when 'failed' then coalesce(error_message, 'No image could be made')
    else case when started_at is null then 'Cancelled before it started' else format('Cancelled with %s of %s images ready', completed, total) end
  end;
end
$$;
comment on function carousel_private.ending_of(integer, integer, timestamptz, bigint, bigint, text, text, boolean, text, text)
  is 'How a job ends whose images are so many, and in what words: cancelled by its owner, or with the code and the words of what ended it as a whole.';
revoke execute on function carousel_private.ending_of(integer, integer, timestamptz, bigint, bigint, text, text, boolean, text, text) from public;
grant execute on function carousel_private.ending_of(integer, integer, timestamptz, bigint, bigint, text, text, boolean, text, text) to carousel_worker;

create or replace function carousel_private.change_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  image record;
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
      select * into image from carousel_private.count_images(array[new.id]);
      new.completed_images := image.completed;
      new.cost_usd := image.cost_usd;
      new.usage := image.usage;
      new.cancel_requested_at := now();
      new.stage := 'finished';
      new.finished_at := now();
      select ending.status, ending.progress, ending.message, ending.failed_images
        into new.status, new.progress, new.message, new.failed_images
        from carousel_private.ending_of(
          total => new.total_images, shown => new.progress, started_at => new.started_at,
          completed => image.completed, failed => image.failed, image_code => null, image_words => null,
          cancelled => true, code => null, words => null
        ) as ending;
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

insert into carousel_private.migrations (version, name) values ('20261202080000', 'endings');
