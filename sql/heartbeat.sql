-- Says that worker $1 lives ($2 name, $3 version, $4 concurrency, $5 jobs it works on, $6 state), and asks what there is to do.
-- The leases with the tokens $7 are its own. In how many seconds there will be something to promote or to claim: 0 is now, null never.
with worker as (
    insert into carousel_private.workers (id, name, version, concurrency, running, state)
    values ($1, $2, $3, $4, $5, $6)
    on conflict (id) do update set running = excluded.running, state = excluded.state, seen_at = now()
)
select
    exists (select from carousel_private.leases where leased_until < now() and token <> all ($7)) as lost_leases,
    exists (select from carousel_private.storage_cleanup where due_at <= now()) as removals,
    -- Through the index of turns: the table itself may begin with many dead rows.
    (select min(turn) from carousel_private.queue) is not null and carousel_private.pause_left() = 0 as jobs,
    least(
        (
            select greatest(0, extract(epoch from run_at - now()))::float8
            from carousel_private.queue
            where turn is null
            order by run_at
            limit 1
        ),
        nullif(carousel_private.pause_left(), 0)
    ) as next_in_seconds
