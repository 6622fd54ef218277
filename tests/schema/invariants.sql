-- What must be true of every job whenever nobody is in the middle of a statement; a line for each job that breaks one of them.
with image as (
    select
        job_id,
        count(*) as total,
        count(*) filter (where status = 'completed') as completed,
        count(*) filter (where status = 'failed') as failed,
        count(*) filter (where status = 'generating') as generating,
        count(*) filter (where status in ('pending', 'generating')) as unfinished,
        count(*) filter (where preview_path is not null and status <> 'generating') as stale_previews,
        coalesce(sum(cost_usd) filter (where status = 'completed'), 0) as cost_usd,
        sum((usage ->> 'total_tokens')::bigint) as tokens
    from public.generated_carousel_images
    group by job_id
),
job as (
    select told.*, queue.job_id is not null as queued, lease.job_id is not null as leased, told.stage = 'finished' as ended,
        -- As it would be said without the words of an older frontend.
        case
            when told.status = 'queued' then 'pending'
            when told.stage <> 'finished' or told.completed_images = told.total_images then told.status
            when told.error_code is null then 'cancelled'
            when told.completed_images > 0 then 'partial'
            else 'failed'
        end as said,
        to_regclass('carousel_private.adoption') is not null as has_other_words
    from public.image_generation_jobs told
    left join carousel_private.queue on queue.job_id = told.id
    left join carousel_private.leases lease on lease.job_id = told.id
)
select format('%s: %s (%s)', job.id, broken.invariant, job.status)
from job
left join image on image.job_id = job.id
cross join lateral (values
    ('its status says it', job.status = case
        when not job.has_other_words or job.said in ('processing', 'completed') then job.said
        when job.said = 'pending' then 'queued'
        when job.completed_images > 0 then 'completed'
        else 'failed'
    end),
    ('pending it is either queued or leased', job.said <> 'pending' or job.queued <> job.leased),
    ('processing it is leased and not queued', job.said <> 'processing' or (job.leased and not job.queued)),
    ('ended it is neither queued nor leased', not job.ended or not (job.queued or job.leased)),
    ('it has ended exactly when finished_at says when', job.ended = (job.finished_at is not null)),
    ('its images stand there from its start', coalesce(image.total, 0) = case when job.started_at is null then 0 else job.total_images end),
    ('nothing is generated without a lease', job.leased or coalesce(image.generating, 0) = 0),
    ('no image of an ended job is unfinished', not job.ended or coalesce(image.unfinished, 0) = 0),
    ('a completed job has all its images', job.said <> 'completed' or image.completed = job.total_images),
    ('an ended job counts its images', not job.ended
        or (job.completed_images, job.failed_images) = (coalesce(image.completed, 0), coalesce(image.failed, 0))
        -- It was never started, and has no rows to count.
        or (image.total is null and job.said = 'failed' and job.failed_images = job.total_images)),
    ('an ended job costs what its images cost', not job.ended or job.cost_usd = coalesce(image.cost_usd, 0)),
    ('an ended job used what its images used', not job.ended or (job.usage ->> 'total')::bigint is not distinct from image.tokens),
    ('a failure has a code', job.said not in ('partial', 'failed') or job.error_code is not null),
    ('a job that has not failed has no code', job.said in ('partial', 'failed') or job.error_code is null),
    ('a preview is shown only while its image is made', coalesce(image.stale_previews, 0) = 0),
    -- Whoever takes it up ends it.
    ('a waiting job is not to be cancelled, unless its worker was lost',
      job.said <> 'pending' or job.cancel_requested_at is null or job.message = 'Its worker was lost; waiting for another one')
) as broken (invariant, holds)
where not coalesce(broken.holds, false)
