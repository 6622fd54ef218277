-- Ends jobs and gives back their leases ($1 jobs, $2 tokens). $3 says whether it was cancelled; $4 and $5 are the code and the words of
-- what ended the whole job, if something did. What its images are decides between completed, partial and failed; those that were not made
-- end with it (settle_images); the words are ending_of's. A row for each job; none when its lease is lost, or somebody else holds one of its rows.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select wish.place, wish.cancelled, wish.code, wish.words, job.id, job.total_images, job.progress, job.started_at
    from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::text[], $5::text[]) with ordinality
        as wish (job_id, token, cancelled, code, words, place)
    cross join lateral (
        select id, total_images, progress, started_at from public.image_generation_jobs where id = wish.job_id for no key update skip locked
    ) as job
    cross join lateral (
        select job_id from carousel_private.leases where job_id = job.id and token = wish.token for update skip locked
    ) as lease
),
lease as (
    delete from carousel_private.leases where job_id = any (array(select id from held))
),
outcome as (
    select held.place, held.id, image.completed, image.cost_usd, image.usage, ending.*
    from carousel_private.count_images(array(select id from held)) as image
    join held on held.id = image.job_id
    cross join lateral carousel_private.ending_of(
        total => held.total_images, shown => held.progress, started_at => held.started_at,
        completed => image.completed, failed => image.failed, image_code => image.error_code, image_words => image.error_message,
        cancelled => held.cancelled, code => held.code, words => held.words
    ) as ending
)
update public.image_generation_jobs job
set status = outcome.status,
    stage = 'finished',
    progress = outcome.progress,
    message = outcome.message,
    completed_images = outcome.completed,
    failed_images = outcome.failed_images,
    error_code = outcome.error_code,
    error_message = outcome.error_message,
    cost_usd = outcome.cost_usd,
    usage = outcome.usage,
    finished_at = now()
from outcome
where job.id = outcome.id and job.id = any (array(select id from held))
returning outcome.place, outcome.status
