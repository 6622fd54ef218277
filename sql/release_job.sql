-- Gives the job back to the queue for another worker ($1 job, $2 token), to run not before $3 seconds from now; $4 says why. The
-- interruption was not the job's fault: its attempt is given back. A job that its owner does not want any more is cancelled instead.
with locked as (
    -- The job before its lease, in the order in which a deletion takes them.
    select id, total_images, cancel_requested_at is not null as cancelled
    from public.image_generation_jobs
    where id = $1
    for no key update
),
held as (
    delete from carousel_private.leases
    using locked
    where job_id = $1 and job_id = locked.id and token = $2
    returning locked.id, locked.total_images, locked.cancelled
),
image as (
    select counted.* from held cross join lateral carousel_private.count_images(array[held.id]) as counted
),
outcome as (
    select held.id,
        case when not held.cancelled then 'pending' when image.completed = held.total_images then 'completed' else 'cancelled' end as status
    from held
    cross join image
)
update public.image_generation_jobs job
set status = outcome.status,
    stage = case outcome.status when 'pending' then 'queued' else 'finished' end,
    progress = case outcome.status when 'completed' then 100 else least(99, job.progress) end,
    message = case outcome.status
        when 'pending' then $4
        when 'completed' then format('%s images are ready', image.completed)
        else format('Cancelled with %s of %s images ready', image.completed, job.total_images)
    end,
    completed_images = image.completed,
    failed_images = image.failed,
    cost_usd = image.cost_usd,
    usage = image.usage,
    -- A job that was not started yet has not counted it.
    attempt = job.attempt - (job.status = 'processing')::integer,
    run_at = case outcome.status when 'pending' then now() + make_interval(secs => $3) else job.run_at end,
    finished_at = case when outcome.status <> 'pending' then now() end
from outcome
cross join image
where job.id = $1 and job.id = outcome.id
returning job.id
