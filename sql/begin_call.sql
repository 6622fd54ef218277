-- Writes down that paid calls are about to be made, each under its lease, and what they may put into the bucket: $1 jobs, $2 tokens,
-- $3 images, $4 models, $5 qualities, $6 prompts, $7 how many calls for the image since its job was last asked for may have been billed, this one
-- included, $8 names of the objects, one for each call, $9 numbers of previews, $10 millionths of a dollar that it may cost (null: the model has
-- no price).
-- A row for each call; none when its lease is lost, or somebody else holds one of its rows. No id: the provider or the model is to be left alone for
-- that many seconds, or a limit of its owner refuses it or it was tried 32 times in vain, or else the image was perhaps billed for so often, the last time with this outcome
-- (null: nobody knows).
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select wish.*, job.retry_requested_at, lease.user_id, lease.worker_id, lease.attempt
    from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::integer[],
        $8::text[], $9::integer[], $10::bigint[]) with ordinality
        as wish (job_id, token, image_id, model, quality, prompt, most, object_name, previews, estimate_millionths, place)
    cross join lateral (
        select id, retry_requested_at from public.image_generation_jobs where id = wish.job_id for key share skip locked
    ) as job
    cross join lateral (
        select user_id, worker_id, attempt from carousel_private.leases where job_id = job.id and token = wish.token for share skip locked
    ) as lease
    cross join lateral (
        select id from public.generated_carousel_images where id = wish.image_id and job_id = job.id for no key update skip locked
    ) as image
    -- Who has limits begins one call after the other.
    cross join lateral (select carousel_private.hold_calls(lease.user_id, ' skip locked') as are_held) as calls
    where calls.are_held
),
pause as materialized (
    select model, carousel_private.pause_left(model) as seconds from (select distinct model from held) as models
),
asked as materialized (
    select held.*, made.again, made.billed, made.last, made.tries, made.latest, pause.seconds,
        pause.seconds = 0 and made.billed < held.most and made.tries < 32 as may_be_made
    from held
    join pause using (model)
    cross join lateral (
        select
            -- The answer may have been lost, and this be said again.
            max(id) filter (where object_name = held.object_name) as again,
            count(*) filter (where object_name is distinct from held.object_name and not unbilled) as billed,
            max(id) filter (where not unbilled) as last,
            count(*) filter (where object_name is distinct from held.object_name) as tries,
            max(id) as latest
        -- By the job: where the ledger is taken for empty, all that was ever called might be read by its time.
        from (select * from carousel_private.provider_calls where job_id = held.job_id offset 0) as call
        where image_id = held.image_id and started_at >= coalesce(held.retry_requested_at, '-infinity')
    ) as made
),
opened as materialized (
    select asked.place, made.call, made.code, made.words
    from asked
    cross join lateral carousel_private.open_call(
        asked.job_id, asked.image_id, asked.user_id, asked.worker_id, asked.attempt, asked.model, asked.object_name, asked.previews,
        asked.estimate_millionths / 1000000.0
    ) as made
    where asked.may_be_made and asked.again is null
),
begun as materialized (
    select asked.*, coalesce(opened.call, case when asked.may_be_made then asked.again end) as call,
        coalesce(opened.code, in_vain.outcome) as code,
        coalesce(opened.words, 'It was tried ' || asked.tries || ' times, and the last time it ended with ' || in_vain.outcome
            || '. Ask for it once more with a retry.') as words
    from asked
    left join opened on opened.place = asked.place
    -- None of them was billed, and yet there is an end.
    cross join lateral (
        select case when asked.seconds = 0 and asked.billed < asked.most and asked.tries >= 32 and asked.again is null
            then coalesce((select outcome from carousel_private.provider_calls where id = asked.latest), 'worker_lost')
        end as outcome
    ) as in_vain
),
image as (
    update public.generated_carousel_images image
    set status = 'generating', model = begun.model, quality = begun.quality, prompt = begun.prompt, error_code = null, error_message = null
    from begun
    where image.id = begun.image_id and image.id = any (array(select image_id from begun)) and begun.call is not null
)
select place, call as id, seconds, billed, code as refused, words,
    (select outcome from carousel_private.provider_calls where id = begun.last) as outcome
from begun
