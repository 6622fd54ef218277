-- Records finished images and closes their calls, each under its lease: $1 jobs, $2 tokens, $3 images, $4 calls, then what their rows tell.
-- A row for each image; none when its lease is lost, or somebody else holds one of its rows.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select wish.*
    from unnest(
        $1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::integer[], $8::integer[], $9::bigint[], $10::text[],
        $11::text[], $12::jsonb[], $13::bigint[], $14::integer[], $15::text[]
    ) with ordinality as wish (
        job_id, token, image_id, call_id, storage_path, thumbhash, width, height, bytes, mime_type,
        sha256, usage, cost_millionths, duration_ms, request_id, place
    )
    cross join lateral (select id from public.image_generation_jobs where id = wish.job_id for key share skip locked) as job
    cross join lateral (
        select job_id from carousel_private.leases where job_id = job.id and token = wish.token for share skip locked
    ) as lease
    cross join lateral (
        select id from public.generated_carousel_images
        -- Again after an answer that was lost: the same image is recorded once more.
        where id = wish.image_id and job_id = job.id and status in ('generating', 'completed')
        for no key update skip locked
    ) as image
),
image as (
    update public.generated_carousel_images image
    set status = 'completed',
        storage_path = held.storage_path,
        preview_path = null,
        thumbhash = held.thumbhash,
        width = held.width,
        height = held.height,
        bytes = held.bytes,
        mime_type = held.mime_type,
        sha256 = held.sha256,
        usage = held.usage,
        cost_usd = held.cost_millionths / 1000000.0,
        duration_ms = held.duration_ms,
        provider_request_id = held.request_id,
        completed_at = now()
    from held
    where image.id = held.image_id and image.id = any (array(select image_id from held))
),
call as (
    update carousel_private.provider_calls call
    set finished_at = now(),
        outcome = 'completed',
        request_id = held.request_id,
        usage = held.usage,
        cost_usd = held.cost_millionths / 1000000.0
    from held
    where call.id = held.call_id and call.id = any (array(select call_id from held))
)
select place from held
