-- Takes pending jobs in the order of their turns, $3 at most, and leases them to worker $1 for $2 seconds. PostgreSQL keeps a plan of it
-- only when $3 is sent as a number in the text: it can't tell what an unknown limit costs, and would plan each claim anew.
with next as materialized (
    select queue.job_id
    from carousel_private.queue
    join public.image_generation_jobs job on job.id = queue.job_id
    where queue.turn is not null
        and job.status = 'pending'
        and not exists (select from carousel_private.provider_budget where paused_until > now())
    order by queue.turn, queue.job_id
    limit $3
    for update of queue, job skip locked
),
taken as (
    delete from carousel_private.queue using next where queue.job_id = next.job_id
),
job as (
    update public.image_generation_jobs job
    set status = 'processing',
        stage = 'fetching',
        progress = least(99, greatest(1, job.progress)),
        message = 'Fetching the source images',
        attempt = job.attempt + 1,
        started_at = coalesce(job.started_at, now()),
        error_code = null,
        error_message = null
    from next
    where job.id = next.job_id
    returning job.*
),
lease as (
    insert into carousel_private.leases (job_id, user_id, images, worker_id, attempt, leased_until)
    select id, user_id, total_images, $1, attempt, now() + make_interval(secs => $2)
    from job
    returning job_id, token
),
image as (
    insert into public.generated_carousel_images (job_id, user_id, carousel_id, variant, slide, aspect_ratio)
    select job.id, job.user_id, md5(concat_ws('/', job.id, variant, aspect_ratio))::uuid, variant, slide, aspect_ratio
    from job
    -- No job has more of either. Without limits each series counts as 1000 rows, so that a claim would seem to be worth compiling (JIT).
    cross join lateral (select generate_series(1, job.variants) as variant limit 10) as variants
    cross join lateral (select generate_series(1, greatest(1, cardinality(job.slide_prompts))) as slide limit 100) as slides
    cross join unnest(job.aspect_ratios) with ordinality as ratio (aspect_ratio, place)
    -- As a person looks at them, in the dashboard and while they fill.
    order by job.id, variant, ratio.place, slide
    on conflict (job_id, variant, slide, aspect_ratio) do update set status = 'pending'
    where generated_carousel_images.status = 'generating'
)
select job.id, job.user_id, lease.token, job.attempt, job.prompt, job.slide_prompts, job.source_paths, job.style, job.variants,
    job.model, job.quality, job.output_format, job.background, job.partial_previews, job.total_images, job.completed_images,
    extract(epoch from clock_timestamp() - greatest(job.created_at, job.run_at))::float8 as waited_seconds
from job
join lease on lease.job_id = job.id
