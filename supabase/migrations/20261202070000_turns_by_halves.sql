-- Each claim of a job from behind counted its owner's 64 turns and gave out one: a sixth of what a job cost PostgreSQL. Now a user's next jobs move up
-- when fewer than 32 have turns, 32 and more at a time.

create or replace function carousel_private.fill_turns() returns trigger
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

insert into carousel_private.migrations (version, name) values ('20261202070000', 'turns_by_halves');
