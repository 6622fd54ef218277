-- Takes up to $2 pending jobs in the order of their turns and leases them to worker $1 for $3 seconds.
with next as materialized (
    select queue.job_id
    from carousel_private.queue
    join public.image_generation_jobs job on job.id = queue.job_id
    where queue.turn is not null and job.status = 'pending' and carousel_private.pause_left() = 0
    order by queue.turn, queue.job_id
    limit $2
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
    select id, user_id, total_images, $1, attempt, now() + make_interval(secs => $3)
    from job
    returning job_id, token
),
image as (
    insert into public.generated_carousel_images (job_id, user_id, carousel_id, variant, slide, aspect_ratio)
    select job.id, job.user_id, md5(concat_ws('/', job.id, variant, aspect_ratio))::uuid, variant, slide, aspect_ratio
    from job
    cross join generate_series(1, job.variants) as variant
    cross join generate_series(1, greatest(1, cardinality(job.slide_prompts))) as slide
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
