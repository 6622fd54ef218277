-- Takes back jobs whose leases ran out: they wait again, whatever became of them; whoever claims one that has lost too many workers, or that its
-- owner does not want any more, ends it. What was being made waits with it (settle_images).
-- The leases with the tokens $1 are the caller's own: it is alive. $2 takes a single job, picked at random; else as many as write $3 rows.
with found as materialized (
    -- The attempt is the lease's: the job may not have been started yet.
    select job.id, job.total_images, held.attempt, held.leased_until
    from carousel_private.leases lease
    -- The job before its lease, in the order in which a deletion takes them.
    cross join lateral (
        select id, total_images from public.image_generation_jobs where id = lease.job_id for no key update skip locked
    ) as job
    cross join lateral (
        select attempt, leased_until from carousel_private.leases where job_id = job.id and leased_until < now() for update skip locked
    ) as held
    where lease.leased_until < now() and lease.token <> all ($1)
),
counted as (
    select found.*, row_number() over in_turn as place, sum(1 + total_images) over in_turn as changes
    from found
    window in_turn as (order by case when $2::boolean then random() end, leased_until, id)
),
expired as materialized (
    select id, attempt from counted where place = 1 or not $2 and changes <= $3::bigint
),
lease as (
    delete from carousel_private.leases where job_id = any (array(select id from expired))
)
update public.image_generation_jobs job
set status = 'pending',
    stage = 'queued',
    progress = least(99, job.progress),
    message = 'Its worker was lost; waiting for another one',
    completed_images = image.completed,
    failed_images = image.failed,
    cost_usd = image.cost_usd,
    usage = image.usage,
    attempt = expired.attempt,
    -- A job that was not started yet changes nothing else by which its trigger would see that it waits again.
    run_at = now()
from carousel_private.count_images(array(select id from expired)) as image
join expired on expired.id = image.job_id
where job.id = image.job_id and job.id = any (array(select id from expired))
returning job.id
