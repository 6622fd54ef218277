-- Shows preview $4 of image $3 under the lease ($1 job, $2 token).
with held as (
    -- The job before its lease, in the order in which a deletion takes them.
    select lease.job_id
    from public.image_generation_jobs job
    join carousel_private.leases lease on lease.job_id = job.id
    where job.id = $1 and lease.token = $2
    for key share of job for share of lease
)
update public.generated_carousel_images image
set preview_path = $4
from held
where image.id = $3 and image.job_id = $1 and image.status = 'generating'
returning image.id
