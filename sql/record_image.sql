-- Records image $3 under the lease ($1 job, $2 token), closes its call $4 and, when $16 says so, shows the job's progress.
with held as (
    -- The job before its lease, in the order in which a deletion takes them.
    select lease.job_id
    from public.image_generation_jobs job
    join carousel_private.leases lease on lease.job_id = job.id
    where job.id = $1 and lease.token = $2
    for key share of job for share of lease
),
image as (
    update public.generated_carousel_images image
    set status = 'completed',
        storage_path = $5,
        preview_path = null,
        thumbhash = $6,
        width = $7,
        height = $8,
        bytes = $9,
        mime_type = $10,
        sha256 = $11,
        usage = $12,
        cost_usd = $13::bigint / 1000000.0,
        duration_ms = $14,
        provider_request_id = $15,
        completed_at = now()
    from held
    where image.id = $3 and image.job_id = held.job_id
        -- Again after an answer that was lost: the same image is recorded once more.
        and image.status in ('generating', 'completed')
    returning image.id
),
call as (
    update carousel_private.provider_calls call
    set finished_at = now(), outcome = 'completed', request_id = $15, usage = $12, cost_usd = $13::bigint / 1000000.0
    from image
    where call.id = $4
),
-- This statement does not see its own changes: the image is counted by hand.
counted as (
    select count(*) filter (where other.status = 'completed') + 1 as completed, count(*) filter (where other.status = 'failed') as failed
    from image
    left join public.generated_carousel_images other on other.job_id = $1 and other.id <> $3
    group by image.id
),
job as (
    update public.image_generation_jobs job
    set completed_images = counted.completed,
        failed_images = counted.failed,
        progress = least(99, 5 + 94 * (counted.completed + counted.failed) / job.total_images),
        message = format('%s of %s images are done', counted.completed, job.total_images)
    from counted
    where job.id = $1 and $16
)
select id from image
