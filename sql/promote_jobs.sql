-- Gives their turns to at most $1 scheduled jobs that have become due, and says in how many seconds there will be something to claim: the next
-- scheduled job, or the end of the provider's pause (null: neither). What somebody holds is left for later.
with due as materialized (
    select job_id from carousel_private.queue where turn is null and run_at <= now() order by run_at limit $1 for update skip locked
),
promoted as materialized (
    select carousel_private.assign_turn(job_id) from due
)
select
    (select count(*) from promoted) as promoted,
    least(
        (
            select extract(epoch from run_at - now())::float8
            from carousel_private.queue
            where turn is null and run_at > now()
            order by run_at
            limit 1
        ),
        nullif(carousel_private.pause_left(), 0)
    ) as next_in_seconds
