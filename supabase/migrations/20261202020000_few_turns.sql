-- A job of high priority used to shift all of its owner's jobs behind it: sixteen thousand, for each of a thousand. Now only the first 64 jobs of a
-- user have turns; the others stand behind everybody's turns, by priority and then in the order in which they came, and move up when there is room.
-- They need no look of their own: where nobody else waits they are claimed as they stand.
--
-- Turns count quarters of images now. Of those of the same image a user's first is before others, while the user has nothing running: the rest by four
-- is 0, and 3 for the others.
--
-- A turn from 2^62 on is such a place: 2^62 + (100 - priority) * 2^51 + microseconds since 1970.

-- The planner proves that they serve only where the same bound stands in a statement.
drop index carousel_private.queue_of_user;
create index queue_of_user on carousel_private.queue (user_id, priority, turn desc) where turn < 4611686018427387904;
create index queue_of_user_behind on carousel_private.queue (user_id, turn) where turn >= 4611686018427387904;

create function carousel_private.place_behind(priority integer, since timestamptz) returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select 4611686018427387904 + (100 - priority) * 2251799813685248 + greatest(0, extract(epoch from since) * 1000000)::bigint
$$;
comment on function carousel_private.place_behind(integer, timestamptz) is 'Where a job stands that has no turn yet: behind all turns, by its priority and then by time.';
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
comment on function carousel_private.move_up(uuid) is 'Gives turns to those of a user''s jobs that stand behind all turns, as long as the user has fewer than 64.';
revoke execute on function carousel_private.move_up(uuid) from public;

create or replace function carousel_private.assign_turn(job uuid) returns void
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
    cross join lateral (select from carousel_private.queue where user_id = owner and turn >= 4611686018427387904 limit 1) as crowded;
  return null;
end
$$;
comment on function carousel_private.fill_turns() is 'Lets a user''s next jobs move up when some have left the queue.';
revoke execute on function carousel_private.fill_turns() from public;
create trigger fill_turns after delete on carousel_private.queue
  referencing old table as gone for each statement execute function carousel_private.fill_turns();

comment on table carousel_private.queue is 'Pending jobs in the order of their turns (start-time fair queueing: a turn is a virtual time counted in quarters of images).';
comment on column carousel_private.queue.turn
  is 'Virtual time at which it is served, lowest first; from 2^62 on it stands behind its owner''s first 64 jobs, and behind everybody''s turns; null until it is due.';

insert into carousel_private.migrations (version, name) values ('20261202020000', 'few_turns');
