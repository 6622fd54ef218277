-- Shows that the images of jobs are being made and how many are done, each under its lease ($1 jobs, $2 tokens). A row for each job; none
-- when its lease is lost, or somebody else holds one of its rows.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select wish.place, job.id
    from unnest($1::uuid[], $2::bigint[]) with ordinality as wish (job_id, token, place)
    cross join lateral (
        select id from public.image_generation_jobs where id = wish.job_id and status = 'processing' for no key update skip locked
    ) as job
    cross join lateral (
        select job_id from carousel_private.leases where job_id = job.id and token = wish.token for share skip locked
    ) as lease
),
counted as (
    select
        held.id,
        count(*) filter (where image.status = 'completed') as completed,
        count(*) filter (where image.status = 'failed') as failed
    from held
    left join public.generated_carousel_images image on image.job_id = held.id and image.job_id = any (array(select id from held))
    group by held.id
),
job as (
    update public.image_generation_jobs job
    set stage = 'generating',
        completed_images = counted.completed,
        failed_images = counted.failed,
        progress = least(99, 5 + 94 * (counted.completed + counted.failed) / job.total_images),
        message = case
            when counted.failed > 0 then format('%s of %s images are done, %s failed', counted.completed, job.total_images, counted.failed)
            else format('%s of %s images are done', counted.completed, job.total_images)
        end
    from counted
    where job.id = counted.id and job.id = any (array(select id from held))
)
select place from held
