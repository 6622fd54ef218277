-- Ends jobs and gives back their leases ($1 jobs, $2 tokens). $3 says whether it was cancelled; $4 and $5 are the code and the words of
-- what ended the whole job, if something did. What its images are decides between completed, partial and failed. A row for each job; none
-- when its lease is lost, or somebody else holds one of its rows.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select wish.place, wish.cancelled, wish.code, wish.words, job.id, job.total_images
    from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::text[], $5::text[]) with ordinality
        as wish (job_id, token, cancelled, code, words, place)
    join public.image_generation_jobs job on job.id = wish.job_id
    join carousel_private.leases lease on lease.job_id = job.id and lease.token = wish.token
    for no key update of job skip locked
    for update of lease skip locked
),
lease as (
    delete from carousel_private.leases using held where leases.job_id = held.id
),
rest as (
    update public.generated_carousel_images image
    set status = case when held.cancelled then 'cancelled' else 'failed' end,
        preview_path = null,
        error_code = case when not held.cancelled then coalesce(held.code, 'internal') end,
        error_message = held.words
    from held
    where image.job_id = held.id and image.status in ('pending', 'generating')
),
outcome as (
    select
        held.*,
        image.completed,
        -- What was not made is cancelled with the job, or has failed with it.
        case when held.cancelled then image.failed else held.total_images - image.completed end as failed,
        image.cost_usd,
        image.usage,
        coalesce(held.code, image.error_code, 'internal') as error_code,
        coalesce(held.words, image.error_message) as error_message,
        case
            when image.completed = held.total_images then 'completed'
            when held.cancelled then 'cancelled'
            when image.completed > 0 then 'partial'
            else 'failed'
        end as status
    from carousel_private.count_images(array(select id from held)) as image
    join held on held.id = image.job_id
)
update public.image_generation_jobs job
set status = outcome.status,
    stage = 'finished',
    progress = case when outcome.status = 'completed' then 100 else least(99, job.progress) end,
    message = case outcome.status
        when 'completed' then format('%s images are ready', outcome.completed)
        when 'partial' then format('%s of %s images are ready', outcome.completed, job.total_images)
        when 'cancelled' then format('Cancelled with %s of %s images ready', outcome.completed, job.total_images)
        else coalesce(outcome.error_message, 'No image could be made')
    end,
    completed_images = outcome.completed,
    failed_images = outcome.failed,
    error_code = case when outcome.status in ('partial', 'failed') then outcome.error_code end,
    error_message = case when outcome.status in ('partial', 'failed') then outcome.error_message end,
    cost_usd = outcome.cost_usd,
    usage = outcome.usage,
    finished_at = now()
from outcome
where job.id = outcome.id
returning outcome.place, job.status
