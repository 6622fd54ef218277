-- The queue: jobs that wait, in the order of their turns.

-- A job is in the queue exactly while it is pending; triggers on the jobs table see to it. The queue is a narrow table of its own so
-- that a claim costs the same however many jobs are finished, and so that the jobs table needs no index on a column that changes.
-- It has no foreign key: a transaction that shifts a row twice would check it again, and wait for whoever deletes that job meanwhile.
create table carousel_private.queue (
  job_id uuid not null,
  user_id uuid not null,
  priority integer not null,
  run_at timestamptz not null,
  images integer not null,
  turn bigint,
  constraint queue_pkey primary key (job_id)
);
comment on table carousel_private.queue is 'Pending jobs in the order of their turns (start-time fair queueing: a turn is a virtual time counted in quarters of images).';
comment on column carousel_private.queue.job_id is 'The pending job.';
comment on column carousel_private.queue.user_id is 'Its owner.';
comment on column carousel_private.queue.priority is 'Order among one user''s jobs, higher first.';
comment on column carousel_private.queue.run_at is 'Not before this time.';
comment on column carousel_private.queue.images is 'Weight of the job: its number of images.';
comment on column carousel_private.queue.turn is 'Virtual time at which it is served, lowest first; from 2^62 on it stands behind its owner''s first 64 jobs, and behind everybody''s turns; null until it is due.';

create index queue_by_turn on carousel_private.queue (turn, job_id) where turn is not null;
create index queue_by_due_time on carousel_private.queue (run_at) where turn is null;
create index queue_of_user on carousel_private.queue (user_id, priority, turn desc) where turn < 4611686018427387904;
create index queue_of_user_behind on carousel_private.queue (user_id, turn) where turn >= 4611686018427387904;

grant select, insert, update, delete on carousel_private.queue to carousel_worker;

create function carousel_private.assign_turn(job uuid) returns void
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
  turns integer;
  last carousel_private.queue;
  first bigint;
  after_own bigint;
begin
  -- Not by its missing turn: the index of those that have none may be full of dead ones.
  select * into entry from carousel_private.queue where job_id = job for update skip locked;
  if not found or entry.turn is not null then
    return;
  end if;
  select count(*) into turns
    from (select from carousel_private.queue where user_id = entry.user_id and turn < 4611686018427387904 limit 64) as own;
  -- Others of this user stand behind all turns, or will: those of lower priority only make way.
  if turns = 64 or exists (select from carousel_private.queue where user_id = entry.user_id and turn >= 4611686018427387904) then
    select * into last from carousel_private.queue
      where user_id = entry.user_id and turn < 4611686018427387904
      order by priority, turn desc limit 1;
    if last.priority is null or last.priority >= entry.priority then
      update carousel_private.queue set turn = carousel_private.place_behind(entry.priority, clock_timestamp()) where job_id = job;
      if turns < 64 then
        perform carousel_private.move_up(entry.user_id);
      end if;
      return;
    end if;
    if turns = 64 then
      -- Rows that somebody else holds are left where they are: waiting for them could deadlock with a claim.
      update carousel_private.queue set turn = carousel_private.place_behind(last.priority, last.run_at)
        where job_id = (select job_id from carousel_private.queue where job_id = last.job_id for update skip locked);
    end if;
  end if;

  -- The first of a user's jobs waits for as much work as the user has running already, or takes the turn of one that it goes before ...
  select least(carousel_private.first_turn(entry.user_id), min(turn)) into first from carousel_private.queue
    where user_id = entry.user_id and priority < entry.priority and turn < 4611686018427387904;
  -- ... and the others stand one behind the other, higher priorities in front.
  select turn + 4 * images | 3 into after_own from carousel_private.queue
    where user_id = entry.user_id and priority >= entry.priority and turn < 4611686018427387904
    order by priority, turn desc limit 1;
  update carousel_private.queue set turn = turn + 4 * entry.images | 3
    where job_id = any (array(
      select job_id from carousel_private.queue
      where user_id = entry.user_id and priority < entry.priority and turn < 4611686018427387904
      for update skip locked
    ));
  update carousel_private.queue set turn = greatest(after_own, first) where job_id = job;
end
$$;
comment on function carousel_private.assign_turn(uuid)
  is 'Gives a due job its turn, or a place behind all turns. A user''s many jobs stand behind each other, so another user''s first one is served next.';
revoke execute on function carousel_private.assign_turn(uuid) from public;
grant execute on function carousel_private.assign_turn(uuid) to carousel_worker;

create function carousel_private.enqueue(job uuid, owner uuid, job_priority integer, due timestamptz, weight integer) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
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
comment on function carousel_private.enqueue(uuid, uuid, integer, timestamptz, integer)
  is 'Puts a pending job into the queue; a job of the future gets its turn when it is due.';
revoke execute on function carousel_private.enqueue(uuid, uuid, integer, timestamptz, integer) from public;

create function carousel_private.requeue_job() returns trigger
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
comment on function carousel_private.requeue_job()
  is 'Keeps the queue to what is pending and not leased, and wakes the workers.';
revoke execute on function carousel_private.requeue_job() from public;
create trigger requeue_job after update on public.image_generation_jobs
  for each row
  -- A claim takes its row out of the queue itself.
  when ((new.stage = 'queued' and (old.stage, old.run_at, old.priority) is distinct from (new.stage, new.run_at, new.priority))
    or (old.stage = 'queued' and new.stage = 'finished'))
  execute function carousel_private.requeue_job();

create function carousel_private.announce_jobs() returns trigger
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
comment on function carousel_private.announce_jobs()
  is 'Puts new jobs into the queue and wakes the workers, once a statement.';
revoke execute on function carousel_private.announce_jobs() from public;
create trigger announce_jobs after insert on public.image_generation_jobs
  referencing new table as added for each statement execute function carousel_private.announce_jobs();

create function carousel_private.place_behind(priority integer, since timestamptz) returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select 4611686018427387904 + (100 - priority) * 2251799813685248 + greatest(0, extract(epoch from since) * 1000000)::bigint
$$;
comment on function carousel_private.place_behind(integer, timestamptz)
  is 'Where a job stands that has no turn yet: behind all turns, by its priority and then by time.';
revoke execute on function carousel_private.place_behind(integer, timestamptz) from public;

create function carousel_private.first_turn(owner uuid) returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select case when earliest.turn < 4611686018427387904 then earliest.turn - earliest.turn % 4 else 0 end
    + coalesce((select 4 * sum(images) + 3 from carousel_private.leases where user_id = owner), 0)
  from (select (select min(turn) from carousel_private.queue where turn is not null) as turn) as earliest
$$;
comment on function carousel_private.first_turn(uuid)
  is 'The turn of a user''s first job: of those who wait, after as much work as the user has running, and after one who has none.';
revoke execute on function carousel_private.first_turn(uuid) from public;

create function carousel_private.move_up(owner uuid) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  turns integer;
  after_own bigint;
begin
  select count(*), max(turn + 4 * images | 3) into turns, after_own
    from (
      select turn, images from carousel_private.queue where user_id = owner and turn < 4611686018427387904
      order by priority, turn desc limit 64
    ) as own;
  if turns = 64 then
    return;
  end if;
  after_own := greatest(after_own, carousel_private.first_turn(owner));
  with behind as materialized (
    select job_id, images, turn from carousel_private.queue
    where user_id = owner and turn >= 4611686018427387904
    order by turn limit 64 - turns
    for update skip locked
  ),
  moved as (
    select job_id, coalesce(sum(4 * images) over (order by turn, job_id rows between unbounded preceding and 1 preceding), 0) as before from behind
  )
  update carousel_private.queue set turn = after_own + moved.before
    from moved where queue.job_id = moved.job_id and queue.job_id = any (array(select job_id from behind));
end
$$;
comment on function carousel_private.move_up(uuid)
  is 'Gives turns to those of a user''s jobs that stand behind all turns, as long as the user has fewer than 64.';
revoke execute on function carousel_private.move_up(uuid) from public;

create function carousel_private.fill_turns() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  -- The limit keeps this a look-up for each user: joined freely, all that stand behind might be read.
  perform carousel_private.move_up(owner)
    from (select distinct user_id as owner from gone) as owners
    cross join lateral (select from carousel_private.queue where user_id = owner and turn >= 4611686018427387904 limit 1) as crowded
    -- Half of them at a time.
    where not exists (select from carousel_private.queue where user_id = owner and turn < 4611686018427387904 offset 31 limit 1);
  return null;
end
$$;
comment on function carousel_private.fill_turns()
  is 'Lets a user''s next jobs move up when some have left the queue.';
revoke execute on function carousel_private.fill_turns() from public;
create trigger fill_turns after delete on carousel_private.queue
  referencing old table as gone for each statement execute function carousel_private.fill_turns();
