-- Whose turn it is: start-time fair queueing over users, with a job's images as its weight.

create function carousel_private.assign_turn(job uuid) returns void
language plpgsql
security definer
set search_path = ''
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
    where job_id in (
      select job_id from carousel_private.queue
      where user_id = entry.user_id and priority < entry.priority and turn is not null
      for update skip locked
    );
  update carousel_private.queue
    set turn = greatest(after_own, coalesce(virtual_now, 0) + coalesce(in_flight, 0))
    where job_id = job;
end
$$;
comment on function carousel_private.assign_turn(uuid) is 'Gives a due job its turn. A user''s many jobs stand behind each other, so another user''s first one is served next.';
revoke execute on function carousel_private.assign_turn(uuid) from public;
grant execute on function carousel_private.assign_turn(uuid) to carousel_worker;

create function carousel_private.enqueue(job uuid, owner uuid, job_priority integer, due timestamptz, weight integer) returns void
language plpgsql
security definer
set search_path = ''
as $$
begin
  insert into carousel_private.queue (job_id, user_id, priority, run_at, images)
    values (job, owner, job_priority, due, weight)
    on conflict (job_id) do update set priority = excluded.priority, run_at = excluded.run_at, turn = null;
  if due <= now() then
    perform carousel_private.assign_turn(job);
  end if;
end
$$;
comment on function carousel_private.enqueue(uuid, uuid, integer, timestamptz, integer) is 'Puts a pending job into the queue; a job of the future gets its turn when it is due.';
revoke execute on function carousel_private.enqueue(uuid, uuid, integer, timestamptz, integer) from public;
