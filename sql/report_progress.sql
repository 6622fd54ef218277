-- Shows where the job is, under the lease ($1 job, $2 token): its counters, and stage $3.
with held as (
    -- The job before its lease, in the order in which a deletion takes them.
    select lease.job_id
    from public.image_generation_jobs job
    join carousel_private.leases lease on lease.job_id = job.id
    where job.id = $1 and lease.token = $2
    for key share of job for share of lease
),
counted as (
    select count(*) filter (where image.status = 'completed') as completed, count(*) filter (where image.status = 'failed') as failed
    from held
    join public.generated_carousel_images image on image.job_id = held.job_id
)
update public.image_generation_jobs job
set stage = $3,
    completed_images = counted.completed,
    failed_images = counted.failed,
    progress = least(99, 5 + 94 * (counted.completed + counted.failed) / job.total_images),
    message = case
        when counted.failed > 0 then format('%s of %s images are done, %s failed', counted.completed, job.total_images, counted.failed)
        else format('%s of %s images are done', counted.completed, job.total_images)
    end
from held cross join counted
where job.id = held.job_id
returning job.id
