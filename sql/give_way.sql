-- Names one of the leases with the tokens $1 whose job is to make room for somebody else's; no row when none is to. Of those who wait next, the one
-- with the fewest jobs at work has at least two less than the owner of that lease; or none, and the lease is $2 seconds old.
with next as materialized (
    select user_id from carousel_private.queue where turn is not null order by turn, job_id limit 64
),
at_work as materialized (
    select user_id, count(*) as jobs from carousel_private.leases group by user_id
),
waiting as (
    select user_id, coalesce(jobs, 0) as jobs
    from (select distinct user_id from next) as next
    left join at_work using (user_id)
    -- What is paused would give up its slot for nothing.
    where carousel_private.pause_left() = 0
    order by 2
    limit 1
)
select lease.token
from carousel_private.leases lease
join at_work using (user_id)
cross join waiting
where lease.token = any ($1)
    and (at_work.jobs >= waiting.jobs + 2 or (waiting.jobs = 0 and lease.leased_at < now() - make_interval(secs => $2)))
    and lease.user_id <> waiting.user_id
order by at_work.jobs desc, lease.leased_at, lease.token
limit 1
