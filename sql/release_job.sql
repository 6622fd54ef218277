-- Gives the job back to the queue for another worker ($1 job, $2 token), to run not before $3 seconds from now; $4 says why. The
-- interruption was not the job's fault: its attempt is given back. A row when the lease holds; a job that its owner does not want any more stays
-- where it is, to be ended, and the row says so.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select job.id, job.cancelled
    from (
        select id, cancel_requested_at is not null as cancelled from public.image_generation_jobs where id = $1 for no key update
    ) as job
    cross join lateral (
        select from carousel_private.leases where job_id = job.id and token = $2 for update
    ) as lease
),
lease as (
    delete from carousel_private.leases where job_id in (select id from held where not cancelled)
),
image as (
    select counted.* from held cross join lateral carousel_private.count_images(array[held.id]) as counted where not held.cancelled
),
job as (
    update public.image_generation_jobs job
    set status = 'pending',
        stage = 'queued',
        progress = least(99, job.progress),
        message = $4,
        completed_images = image.completed,
        failed_images = image.failed,
        cost_usd = image.cost_usd,
        usage = image.usage,
        -- A job that was not started yet has not counted it.
        attempt = job.attempt - (job.status = 'processing')::integer,
        run_at = now() + make_interval(secs => $3)
    from image
    where job.id = $1 and job.id = image.job_id
)
select cancelled from held
