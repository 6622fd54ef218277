-- Ends jobs and gives back their leases ($1 jobs, $2 tokens). $3 says whether it was cancelled; $4 and $5 are the code and the words of
-- what ended the whole job, if something did. What its images are decides between completed, partial and failed; those that were not made
-- end with it (settle_images). A row for each job; none when its lease is lost, or somebody else holds one of its rows.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select wish.place, wish.cancelled, wish.code, wish.words, job.id, job.total_images
    from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::text[], $5::text[]) with ordinality
        as wish (job_id, token, cancelled, code, words, place)
    cross join lateral (
        select id, total_images from public.image_generation_jobs where id = wish.job_id for no key update skip locked
    ) as job
    cross join lateral (
        select job_id from carousel_private.leases where job_id = job.id and token = wish.token for update skip locked
    ) as lease
),
lease as (
    delete from carousel_private.leases where job_id = any (array(select id from held))
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
where job.id = outcome.id and job.id = any (array(select id from held))
returning outcome.place, outcome.status
