-- Writes down that paid calls are about to be made, each under its lease: $1 jobs, $2 tokens, $3 images, $4 models, $5 qualities, $6 prompts.
-- A row for each call; none when its lease is lost, or somebody else holds one of its rows. No id: the provider is to be left alone for
-- that many seconds.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select wish.place, wish.job_id, wish.image_id, wish.model, wish.quality, wish.prompt, lease.user_id, lease.worker_id, lease.attempt
    from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[]) with ordinality
        as wish (job_id, token, image_id, model, quality, prompt, place)
    cross join lateral (select id from public.image_generation_jobs where id = wish.job_id for key share skip locked) as job
    cross join lateral (
        select user_id, worker_id, attempt from carousel_private.leases where job_id = job.id and token = wish.token for share skip locked
    ) as lease
    cross join lateral (
        select id from public.generated_carousel_images where id = wish.image_id and job_id = job.id for no key update skip locked
    ) as image
),
pause as materialized (
    select carousel_private.pause_left() as seconds
),
image as (
    update public.generated_carousel_images image
    set status = 'generating', model = held.model, quality = held.quality, prompt = held.prompt, error_code = null, error_message = null
    from held cross join pause
    where image.id = held.image_id and image.id = any (array(select image_id from held)) and pause.seconds = 0
),
call as (
    insert into carousel_private.provider_calls (job_id, image_id, user_id, worker_id, attempt, model)
    select held.job_id, held.image_id, held.user_id, held.worker_id, held.attempt, held.model
    from held cross join pause
    where pause.seconds = 0
    returning id, image_id
)
select held.place, call.id, pause.seconds
from held
cross join pause
left join call on call.image_id = held.image_id
