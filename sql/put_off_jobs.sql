-- Schedules those of the next 1000 jobs that have chosen a model which is left alone for the end of that, and says how many; a claim does the same
-- with those that it meets.
with next as materialized (
    select job_id from carousel_private.queue where turn is not null order by turn, job_id limit 1000
),
found as materialized (
    select job_id, (
        select pause.paused_until
        from public.image_generation_jobs job
        join carousel_private.model_pauses pause on pause.model = job.model and pause.paused_until > now()
        where job.id = next.job_id
        limit 1
    ) as paused_until
    from next
),
late as materialized (
    select job_id, paused_until from found where paused_until is not null
),
free as materialized (
    select job_id from carousel_private.queue where job_id = any (array(select job_id from late)) and turn is not null for update skip locked
),
put_off as (
    update carousel_private.queue
    set turn = null, run_at = (select paused_until from late where late.job_id = queue.job_id)
    where job_id = any (array(select job_id from free))
)
select count(*) as jobs from free
