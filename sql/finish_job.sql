-- Ends the job and gives back its lease ($1 job, $2 token). $3 says whether it was cancelled; $4 and $5 are the code and the words of
-- what ended the whole job, if something did. What its images are decides between completed, partial and failed.
with locked as (
    -- The job before its lease, in the order in which a deletion takes them.
    select id from public.image_generation_jobs where id = $1 for no key update
),
held as (
    delete from carousel_private.leases using locked where job_id = locked.id and token = $2 returning job_id
),
image as (
    select counted.completed, counted.failed, counted.cost_usd, counted.usage, counted.error_code, counted.error_message
    from held
    cross join lateral carousel_private.count_images(held.job_id) as counted
),
rest as (
    update public.generated_carousel_images image
    set status = case when $3 then 'cancelled' else 'failed' end,
        preview_path = null,
        error_code = case when not $3 then coalesce($4, 'internal') end,
        error_message = $5
    from held
    where image.job_id = held.job_id and image.status in ('pending', 'generating')
),
outcome as (
    select
        job.id,
        -- What was not made is cancelled with the job, or has failed with it.
        case when $3 then image.failed else job.total_images - image.completed end as failed,
        case
            when image.completed = job.total_images then 'completed'
            when $3 then 'cancelled'
            when image.completed > 0 then 'partial'
            else 'failed'
        end as status
    from held
    join public.image_generation_jobs job on job.id = held.job_id
    cross join image
)
update public.image_generation_jobs job
set status = outcome.status,
    stage = 'finished',
    progress = case when outcome.status = 'completed' then 100 else least(99, job.progress) end,
    message = case outcome.status
        when 'completed' then format('%s images are ready', image.completed)
        when 'partial' then format('%s of %s images are ready', image.completed, job.total_images)
        when 'cancelled' then format('Cancelled with %s of %s images ready', image.completed, job.total_images)
        else coalesce($5, image.error_message, 'No image could be made')
    end,
    completed_images = image.completed,
    failed_images = outcome.failed,
    error_code = case when outcome.status in ('partial', 'failed') then coalesce($4, image.error_code, 'internal') end,
    error_message = case when outcome.status in ('partial', 'failed') then coalesce($5, image.error_message) end,
    cost_usd = image.cost_usd,
    usage = image.usage,
    finished_at = now()
from outcome
cross join image
where job.id = outcome.id
returning job.status
