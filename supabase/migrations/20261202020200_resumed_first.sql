-- A job that is given back in the middle of its work goes on before its owner's others: it would otherwise lie half made behind all of them. It goes
-- after the first one of a person who has nothing running, for which it may have made room: the rest by four is 1.

create function carousel_private.resume_turn(job uuid) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
  entry carousel_private.queue;
  own bigint;
begin
  select * into entry from carousel_private.queue where job_id = job for update skip locked;
  if not found or entry.turn is null then
    return;
  end if;
  -- Of those 64 at most have turns.
  select min(turn) into own from carousel_private.queue
    where user_id = entry.user_id and turn < 4611686018427387904 and job_id <> job;
  update carousel_private.queue set turn = least(carousel_private.first_turn(entry.user_id), own) / 4 * 4 + 1 where job_id = job;
end
$$;
comment on function carousel_private.resume_turn(uuid) is 'Lets a job that has begun go on before its owner''s others.';
revoke execute on function carousel_private.resume_turn(uuid) from public;

create or replace function carousel_private.requeue_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.status <> 'pending' then
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

insert into carousel_private.migrations (version, name) values ('20261202020200', 'resumed_first');
