-- Begins the work on jobs that were claimed, each under its lease ($1 jobs, $2 tokens): shows them as processing and adds the rows of their
-- images. A row for each job, with the images that are to be made; none for a job whose lease is lost, or whose row somebody else holds.
with held as materialized (
    -- The job before its lease, in the order in which a deletion takes them.
    select
        wish.place, job.id, job.user_id, job.variants, job.aspect_ratios, lease.attempt,
        case job.slides_from when 'sources' then cardinality(job.source_paths) else greatest(1, cardinality(job.slide_prompts)) end as slides
    from unnest($1::uuid[], $2::bigint[]) with ordinality as wish (job_id, token, place)
    cross join lateral (
        select * from public.image_generation_jobs where id = wish.job_id and stage <> 'finished' for no key update skip locked
    ) as job
    cross join lateral (
        select attempt from carousel_private.leases where job_id = job.id and token = wish.token for share skip locked
    ) as lease
),
job as (
    update public.image_generation_jobs job
    set status = 'processing',
        stage = 'fetching',
        progress = least(99, greatest(1, job.progress)),
        message = 'Fetching the source images',
        -- Not one more: the answer may have been lost, and this be said again.
        attempt = held.attempt,
        started_at = coalesce(job.started_at, now()),
        error_code = null,
        error_message = null
    from held
    where job.id = held.id and job.id = any (array(select id from held))
),
added as (
    insert into public.generated_carousel_images (job_id, user_id, carousel_id, variant, slide, aspect_ratio)
    select held.id, held.user_id, md5(concat_ws('/', held.id, variant, aspect_ratio))::uuid, variant, slide, aspect_ratio
    from held
    -- No job has more of either. Without limits each series counts as 1000 rows, so that this would seem to be worth compiling (JIT).
    cross join lateral (select generate_series(1, held.variants) as variant limit 10) as variants
    cross join lateral (select generate_series(1, held.slides) as slide limit 100) as slides
    cross join unnest(held.aspect_ratios) with ordinality as ratio (aspect_ratio, place)
    -- As a person looks at them, in the dashboard and while they fill.
    order by held.place, variant, ratio.place, slide
    on conflict (job_id, variant, slide, aspect_ratio) do nothing
    returning job_id, id, variant, slide, aspect_ratio
),
image as (
    select * from added
    union all
    -- What an earlier attempt has left to do.
    select image.job_id, image.id, image.variant, image.slide, image.aspect_ratio
    from held
    cross join lateral (
        -- No job has more. The limit also keeps this a look-up for each job: joined freely, the table might be read as a whole.
        select * from public.generated_carousel_images where job_id = held.id and status in ('pending', 'generating') limit 100
    ) as image
)
select
    held.place,
    coalesce(array_agg(image.id order by variant, slide, aspect_ratio) filter (where image.id is not null), '{}') as ids,
    coalesce(array_agg(variant order by variant, slide, aspect_ratio) filter (where image.id is not null), '{}') as variants,
    coalesce(array_agg(slide order by variant, slide, aspect_ratio) filter (where image.id is not null), '{}') as slides,
    coalesce(array_agg(aspect_ratio order by variant, slide, aspect_ratio) filter (where image.id is not null), '{}') as aspect_ratios
from held
left join image on image.job_id = held.id
group by held.place
