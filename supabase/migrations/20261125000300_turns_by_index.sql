-- A queue that was analyzed while it was empty is taken for empty however long it grows, and was then read from its beginning to its end
-- for each new job. Whoever gives turns looks rows up by their indexes, whatever the statistics say.

create or replace function carousel_private.assign_turn(job uuid) returns void
language plpgsql
security definer
set search_path = ''
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
  entry carousel_private.queue;
  after_own bigint;
  virtual_now bigint;
  in_flight bigint;
begin
  select * into entry from carousel_private.queue where job_id = job and turn is null for update skip locked;
  if not found then
    return;
  end if;
  -- A user's jobs stand one behind the other, higher priorities in front ...
  select turn + images into after_own from carousel_private.queue
    where user_id = entry.user_id and priority >= entry.priority and turn is not null
    order by priority, turn desc limit 1;
  -- ... and the first one waits for as much work as the user has running already.
  select turn into virtual_now from carousel_private.queue where turn is not null order by turn limit 1;
  select sum(images) into in_flight from carousel_private.leases where user_id = entry.user_id;
  -- Rows that somebody else holds are left where they are: waiting for them could deadlock with a claim.
  update carousel_private.queue set turn = turn + entry.images
    where job_id = any (array(
      select job_id from carousel_private.queue
      where user_id = entry.user_id and priority < entry.priority and turn is not null
      for update skip locked
    ));
  update carousel_private.queue
    set turn = greatest(after_own, coalesce(virtual_now, 0) + coalesce(in_flight, 0))
    where job_id = job;
end
$$;

-- The one statement of a worker that has to read whole tables; a worker's connections are set to look things up.
alter function carousel_private.sweep_objects(interval) set enable_seqscan = on;
alter function carousel_private.sweep_objects(interval) set enable_bitmapscan = on;
alter function carousel_private.sweep_objects(interval) set enable_hashjoin = on;
alter function carousel_private.sweep_objects(interval) set enable_mergejoin = on;
alter function carousel_private.sweep_objects(interval) set enable_sort = on;
