-- The rows of before as rows of carousel's: templates, finished jobs and pictures, under the same ids. Nothing of ours takes notice: nothing is
-- queued, counted, told to anybody or removed. What is no object of its owner's folder in the bucket can't be carried, and stays where it is.

alter table public.image_generation_templates disable trigger user;
alter table public.image_generation_jobs disable trigger user;
alter table public.generated_carousel_images disable trigger user;

insert into public.image_generation_templates (
  id, user_id, name, description, source_paths, prompt, slide_prompts, slides_from, aspect_ratios, style, is_favorite, use_count, created_at, updated_at
)
select
  before.id, before.user_id, coalesce(left(nullif(btrim(before.name), ''), 200), 'Template'), left(before.description, 2000), paths,
  left(before.default_prompt, 32000),
  coalesce(carousel_private.old_prompts(array[before.default_settings], cardinality(paths)), '{}'), 'sources',
  array[carousel_private.old_ratio(before.default_settings)], carousel_private.old_style(before.default_settings),
  coalesce(before.is_favorite, false), greatest(0, coalesce(before.usage_count, 0)),
  coalesce(before.created_at, now()), coalesce(before.updated_at, before.created_at, now())
from public.image_generation_templates_before_carousel before
join auth.users owner on owner.id = before.user_id
-- Worked out once (offset 0), and not again wherever it is named; the same below.
cross join lateral (select (carousel_private.own_paths(before.user_id, before.source_images))[1:100] as paths offset 0) as source
where cardinality(paths) > 0;

create temporary table adopted_images on commit drop as
select image.*, coalesce(carousel_private.own_path(user_id, storage_path), carousel_private.own_path(user_id, generated_image_url)) as path,
  carousel_private.own_path(user_id, source_image_url) as source
from public.generated_carousel_images_before_carousel image
where carousel_index >= 0 and image_index between 0 and 99;
delete from adopted_images image
  where path is null
    or not exists (
      select from public.image_generation_jobs_before_carousel job where job.id = image.job_id and job.user_id = image.user_id
    );
create index on adopted_images (job_id);
analyze adopted_images;

-- A job of ours has 10 variants and 100 images at most. One of more becomes several, of which the first keeps the id.
create temporary table adopted_jobs on commit drop as
select before.*,
  case when template.id is not null then template.id end as known_template,
  (select words from unnest(array[left(before.prompt, 32000), template.prompt, left(before.name, 200), 'Carousel']) as words where words ~ '\S' limit 1) as words,
  carousel_private.as_json(before.template_description) as described,
  shape.slides, known.sources, variants_in_all, least(10, 100 / shape.slides) as a_part
from public.image_generation_jobs_before_carousel before
join auth.users owner on owner.id = before.user_id
left join public.image_generation_templates template on template.id = before.template_id and template.user_id = before.user_id
cross join lateral (
  select max(carousel_index) + 1 as variants, max(image_index) + 1 as slides, (array_agg(path order by carousel_index, image_index))[1:1] as first
  from adopted_images where job_id = before.id
) as made
cross join lateral (
  select array_agg(source order by image_index) as sources
  from (select distinct on (image_index) image_index, source from adopted_images where job_id = before.id and source is not null) as image
) as seen
cross join lateral (
  select (coalesce(
    nullif(carousel_private.own_paths(before.user_id, carousel_private.as_json(before.template_description)), '{}'),
    nullif(carousel_private.own_paths(before.user_id, before.settings), '{}'),
    template.source_paths, seen.sources,
    -- Nobody knows any more what it was made from.
    made.first
  ))[1:100] as sources
  offset 0
) as known
cross join lateral (select greatest(cardinality(known.sources), made.slides) as slides offset 0) as shape
cross join lateral (
  select greatest(coalesce(made.variants, 1), case when before.status = 'completed' then 1 else least(before.variants, 10, 100 / shape.slides) end)
    as variants_in_all
) as wanted
where cardinality(known.sources) > 0;

create temporary table adopted_parts on commit drop as
select id as before_id, part, least(a_part, variants_in_all - part * a_part) as variants,
  case part when 0 then id else md5(concat_ws('/', id, part))::uuid end as id
from adopted_jobs cross join lateral generate_series(0, (variants_in_all - 1) / a_part) as part;

insert into public.image_generation_jobs (
  id, user_id, template_id, template_version, title, prompt, slide_prompts, source_paths, slides_from, aspect_ratios, variants, style, quality,
  total_images, completed_images, failed_images, status, stage, progress, message, error_code, error_message, attempt, run_at, started_at, finished_at,
  created_at, updated_at
)
select
  part.id, job.user_id, job.known_template, case when job.known_template is not null then 1 end,
  left(job.name, 190) || case when part.part > 0 then format(' (%s)', part.part + 1) else '' end,
  job.words,
  case
    when shape.by_source then coalesce(carousel_private.old_prompts(array[job.described, job.settings], job.slides), '{}')
    else coalesce(carousel_private.old_prompts(array[job.described, job.settings], job.slides), array_fill(job.words, array[job.slides]))
  end,
  case when shape.by_source then job.sources else job.sources[1:16] end,
  case when shape.by_source then 'sources' else 'prompts' end,
  array[carousel_private.old_ratio(job.settings)], part.variants, carousel_private.old_style(job.settings), carousel_private.old_quality(job.settings),
  shape.total, made.pictures, shape.total - made.pictures, outcome.status, 'finished', case outcome.status when 'completed' then 100 else least(99, greatest(0, coalesce(job.progress, 0))) end,
  coalesce(left(job.message, 1000), format('%s of %s images', made.pictures, shape.total)),
  case when outcome.status <> 'completed' then 'before_carousel' end as error_code,
  case
    when outcome.status = 'completed' then null
    when job.status in ('queued', 'processing') then 'It was not finished when carousel came; ask for it again'
    else 'It was not made whole before carousel came'
  end,
  1, coalesce(job.created_at, now()), coalesce(job.created_at, now()), coalesce(job.completed_at, job.updated_at, job.created_at, now()),
  coalesce(job.created_at, now()), coalesce(job.updated_at, job.created_at, now())
from adopted_parts part
join adopted_jobs job on job.id = part.before_id
cross join lateral (
  select count(*) as pictures from adopted_images where job_id = job.id and carousel_index / job.a_part = part.part
) as made
cross join lateral (select cardinality(job.sources) = job.slides as by_source, part.variants * job.slides as total) as shape
cross join lateral (
  select case when made.pictures = shape.total then 'completed' when made.pictures > 0 then 'partial' else 'failed' end as status
) as outcome;

insert into public.generated_carousel_images (
  id, job_id, user_id, carousel_id, variant, slide, aspect_ratio, status, storage_path, width, height, mime_type, prompt, created_at, completed_at,
  updated_at
)
select
  image.id, part.id, image.user_id, md5(concat_ws('/', part.id, image.carousel_index % job.a_part + 1, ratio))::uuid,
  image.carousel_index % job.a_part + 1, image.image_index + 1, ratio, 'completed', path,
  case when image.width > 0 then image.width end, case when image.height > 0 then image.height end,
  case lower(substring(path from '\.([A-Za-z]+)$'))
    when 'png' then 'image/png' when 'jpg' then 'image/jpeg' when 'jpeg' then 'image/jpeg' when 'webp' then 'image/webp'
  end,
  image.prompt_used, coalesce(image.created_at, now()), coalesce(image.created_at, now()), coalesce(image.created_at, now())
from adopted_images image
join adopted_jobs job on job.id = image.job_id
join adopted_parts part on part.before_id = job.id and part.part = image.carousel_index / job.a_part
cross join lateral carousel_private.old_ratio(job.settings) as ratio;

alter table public.image_generation_templates enable trigger user;
alter table public.image_generation_jobs enable trigger user;
alter table public.generated_carousel_images enable trigger user;

update carousel_private.adoption set
  counts = jsonb_build_object(
    'templates', (select count(*) from public.image_generation_templates_before_carousel),
    'templates_carried', (select count(*) from public.image_generation_templates),
    'jobs', (select count(*) from public.image_generation_jobs_before_carousel),
    'jobs_carried', (select count(*) from adopted_jobs),
    'jobs_made_of_them', (select count(*) from adopted_parts),
    'images', (select count(*) from public.generated_carousel_images_before_carousel),
    'images_carried', (select count(*) from public.generated_carousel_images)
  ),
  -- What the app itself wrote of some of its pictures.
  public_address = coalesce(public_address, (
    select address
    from (
      (select generated_image_url as url from public.generated_carousel_images_before_carousel limit 1000)
      union all
      (select source_images ->> 0 from public.image_generation_templates_before_carousel where jsonb_typeof(source_images) = 'array' limit 1000)
    ) as urls
    cross join lateral substring(url from '^https?://[^/]+/storage/v1/object/public/generated-carousels/') as address
    where address is not null
    group by address order by count(*) desc limit 1
  ));
