-- Takes pending jobs in the order of their turns, $3 at most, and leases them to worker $1 for $2 seconds. It writes narrow rows only:
-- what their owners see of it is written by start_job, while the work has begun. Jobs that have chosen a model which is left alone are
-- scheduled for the end of that instead, so that no later claim meets them. A row for each job; at least one, with how many were put off.
with next as materialized (
    select queue.job_id, job.paused_until
    from carousel_private.queue
    -- The job as well: who changes it meanwhile is passed over, and who comes later finds the lease.
    cross join lateral (
        select id, (
            select paused_until from carousel_private.model_pauses pause
            where pause.model = image_generation_jobs.model and paused_until > now()
        ) as paused_until
        from public.image_generation_jobs
        where id = queue.job_id
        for no key update skip locked
    ) as job
    where queue.turn is not null and not exists (select from carousel_private.provider_budget where paused_until > now())
    order by queue.turn, queue.job_id
    limit $3
    for update of queue skip locked
),
-- By arrays: joined, a queue that the planner takes for empty would be read from its beginning to its end.
taken as (
    delete from carousel_private.queue where job_id = any (array(select job_id from next where paused_until is null))
),
scheduled as (
    update carousel_private.queue
    set turn = null, run_at = (select paused_until from next where next.job_id = queue.job_id)
    where job_id = any (array(select job_id from next where paused_until is not null))
),
job as materialized (
    select *
    from public.image_generation_jobs
    where id = any (array(select job_id from next where paused_until is null))
        -- As it is in the queue, it is. Not asked above: after a million finished jobs the planner thinks that hardly any is.
        and stage = 'queued'
),
lease as (
    insert into carousel_private.leases (job_id, user_id, images, worker_id, attempt, leased_until)
    select id, user_id, total_images, $1, attempt + 1, now() + make_interval(secs => $2)
    from job
    returning job_id, token, attempt
)
select put_off.jobs as put_off, job.id, job.user_id, lease.token, lease.attempt, job.prompt, job.slide_prompts, job.source_paths, job.slides_from,
    job.slide_sources, job.style, job.variants, job.model, job.quality, job.output_format, job.background, job.partial_previews, job.total_images,
    job.cancel_requested_at is not null as cancel_requested
from (select count(paused_until) as jobs from next) as put_off
left join (job join lease on lease.job_id = job.id) on true
