-- Records that image $3 can't be made, under the lease ($1 job, $2 token): $4 its call (null when none was made), $5 code, $6 words,
-- $7 the provider's request id, $8 whether the call is known not to have been billed.
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
    set status = 'failed', preview_path = null, error_code = $5, error_message = $6, provider_request_id = $7
    from held
    where image.id = $3 and image.job_id = $1 and image.status <> 'completed'
    returning image.id
),
call as (
    update carousel_private.provider_calls call
    set finished_at = now(), outcome = $5, request_id = $7, unbilled = $8
    from image
    where call.id = $4 and call.finished_at is null
)
select id from image
