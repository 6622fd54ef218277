-- Takes back jobs whose leases ran out; a job that has lost $1 workers fails, since it may be what ends them. What was being made ends or
-- waits with it (settle_images).
-- The leases with the tokens $2 are the caller's own: it is alive. $3 takes a single job, picked at random; else as many as write $4 rows.
with found as materialized (
    -- The attempt is the lease's: the job may not have been started yet.
    select job.id, job.total_images, job.cancel_requested_at is not null as cancelled, held.attempt, held.leased_until
    from carousel_private.leases lease
    -- The job before its lease, in the order in which a deletion takes them.
    cross join lateral (
        select id, total_images, cancel_requested_at
        from public.image_generation_jobs
        where id = lease.job_id
        for no key update skip locked
    ) as job
    cross join lateral (
        select attempt, leased_until from carousel_private.leases where job_id = job.id and leased_until < now() for update skip locked
    ) as held
    where lease.leased_until < now() and lease.token <> all ($2)
),
counted as (
    select found.*, row_number() over in_turn as place, sum(1 + total_images) over in_turn as changes
    from found
    window in_turn as (order by case when $3::boolean then random() end, leased_until, id)
),
expired as materialized (
    select id, total_images, cancelled, attempt from counted where place = 1 or not $3 and changes <= $4::bigint
),
lease as (
    delete from carousel_private.leases where job_id = any (array(select id from expired))
),
judged as (
    select
        expired.id,
        expired.attempt,
        image.completed,
        image.failed,
        image.cost_usd,
        image.usage,
        case
            when expired.attempt < $1 and not expired.cancelled then 'pending'
            when image.completed = expired.total_images then 'completed'
            when expired.cancelled then 'cancelled'
            when image.completed > 0 then 'partial'
            else 'failed'
        end as status
    from carousel_private.count_images(array(select id from expired)) as image
    join expired on expired.id = image.job_id
)
update public.image_generation_jobs job
set status = judged.status,
    stage = case judged.status when 'pending' then 'queued' else 'finished' end,
    progress = case judged.status when 'completed' then 100 else least(99, job.progress) end,
    message = case judged.status
        when 'pending' then 'Its worker was lost; waiting for another one'
        when 'completed' then format('%s images are ready', judged.completed)
        when 'cancelled' then format('Cancelled with %s of %s images ready', judged.completed, job.total_images)
        else 'Given up: every worker that took it was lost'
    end,
    completed_images = judged.completed,
    failed_images = case when judged.status in ('partial', 'failed') then job.total_images - judged.completed else judged.failed end,
    cost_usd = judged.cost_usd,
    usage = judged.usage,
    attempt = judged.attempt,
    -- A job that was not started yet changes nothing else by which its trigger would see that it waits again.
    run_at = case when judged.status = 'pending' then now() else job.run_at end,
    error_code = case when judged.status in ('partial', 'failed') then 'worker_lost' end,
    error_message = case when judged.status in ('partial', 'failed') then 'Given up: every worker that took it was lost' end,
    finished_at = case when judged.status <> 'pending' then now() end
from judged
where job.id = judged.id and job.id = any (array(select id from expired))
returning job.id, job.status
