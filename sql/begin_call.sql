-- Writes down that a paid call for image $3 is about to be made, under the lease ($1 job, $2 token). $4 model, $5 quality, $6 prompt.
-- No row: the lease is lost. No id: the provider is to be left alone for that many seconds.
with held as (
    -- The job before its lease, in the order in which a deletion takes them.
    select lease.job_id, lease.user_id, lease.worker_id, lease.attempt
    from public.image_generation_jobs job
    join carousel_private.leases lease on lease.job_id = job.id
    where job.id = $1 and lease.token = $2
    for key share of job for share of lease
),
pause as materialized (
    select carousel_private.pause_left() as seconds
),
image as (
    update public.generated_carousel_images image
    set status = 'generating', model = $4, quality = $5, prompt = $6, error_code = null, error_message = null
    from held cross join pause
    where image.id = $3 and image.job_id = held.job_id and pause.seconds = 0
    returning image.id
),
call as (
    insert into carousel_private.provider_calls (job_id, image_id, user_id, worker_id, attempt, model)
    select held.job_id, image.id, held.user_id, held.worker_id, held.attempt, $4
    from held cross join image
    returning id
)
select (select id from call) as id, pause.seconds
from held cross join pause
