-- The pictures of a job, one row each, from the moment that the job is claimed.

create table public.generated_carousel_images (
  id uuid primary key default gen_random_uuid(),
  job_id uuid not null references public.image_generation_jobs (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  carousel_id uuid not null,
  variant integer not null,
  slide integer not null,
  aspect_ratio text not null,
  status text not null default 'pending',
  storage_path text,
  preview_path text,
  thumbhash text,
  width integer,
  height integer,
  bytes bigint,
  mime_type text,
  sha256 text,
  prompt text,
  model text,
  quality text,
  usage jsonb,
  cost_usd numeric(12, 6),
  duration_ms integer,
  provider_request_id text,
  error_code text,
  error_message text,
  is_favorite boolean not null default false,
  created_at timestamptz not null default now(),
  completed_at timestamptz,
  constraint one_row_an_image unique (job_id, variant, slide, aspect_ratio),
  constraint variant_between_1_and_10 check (variant between 1 and 10),
  constraint slide_between_1_and_100 check (slide between 1 and 100),
  constraint aspect_ratio_known check (aspect_ratio in ('1:1', '4:5', '9:16', '3:4', '16:9')),
  constraint status_known check (status in ('pending', 'generating', 'completed', 'failed', 'cancelled')),
  constraint completed_exactly_when_completed_at check ((status = 'completed') = (completed_at is not null)),
  constraint completed_is_whole check (
    status <> 'completed'
    or (storage_path is not null and width > 0 and height > 0 and bytes > 0 and mime_type is not null and sha256 is not null)
  ),
  constraint stored_exactly_when_completed check ((storage_path is not null) = (status = 'completed')),
  constraint failed_has_a_code check (status <> 'failed' or error_code is not null),
  constraint stored_in_the_owners_folder check (starts_with(storage_path, user_id::text || '/jobs/' || job_id::text || '/')),
  constraint preview_in_the_owners_folder check (starts_with(preview_path, user_id::text || '/jobs/' || job_id::text || '/'))
)
with (fillfactor = 70);

create index generated_carousel_images_of_user on public.generated_carousel_images (user_id, created_at desc);
create index generated_carousel_images_of_carousel on public.generated_carousel_images (carousel_id, slide);

comment on table public.generated_carousel_images is 'Generated images. Rows exist from the moment that a job is claimed, so a page can draw its grid at once.';
comment on column public.generated_carousel_images.id is 'Primary key.';
comment on column public.generated_carousel_images.job_id is 'Job that the image belongs to.';
comment on column public.generated_carousel_images.user_id is 'Owner, the same as the job''s.';
comment on column public.generated_carousel_images.carousel_id is 'One for each job, variant and aspect ratio.';
comment on column public.generated_carousel_images.variant is 'Variant, from 1.';
comment on column public.generated_carousel_images.slide is 'Slide in its carousel, from 1.';
comment on column public.generated_carousel_images.aspect_ratio is '1:1, 4:5, 9:16, 3:4 or 16:9.';
comment on column public.generated_carousel_images.status is 'pending, generating, completed, failed or cancelled.';
comment on column public.generated_carousel_images.storage_path is 'Object in the bucket generated-carousels, set when completed. Never a URL: sign one when it is needed.';
comment on column public.generated_carousel_images.preview_path is 'Latest partial preview while the image is made.';
comment on column public.generated_carousel_images.thumbhash is 'Blurred placeholder, base64, about 25 bytes.';
comment on column public.generated_carousel_images.width is 'Pixels.';
comment on column public.generated_carousel_images.height is 'Pixels.';
comment on column public.generated_carousel_images.bytes is 'Size of the object in bytes.';
comment on column public.generated_carousel_images.mime_type is 'image/png, image/jpeg or image/webp.';
comment on column public.generated_carousel_images.sha256 is 'Digest of the object, lowercase hex.';
comment on column public.generated_carousel_images.prompt is 'What was sent to the provider.';
comment on column public.generated_carousel_images.model is 'Model that was asked.';
comment on column public.generated_carousel_images.quality is 'Quality that was asked for.';
comment on column public.generated_carousel_images.usage is 'Tokens as the provider reported them.';
comment on column public.generated_carousel_images.cost_usd is 'Cost in dollars, from usage and the worker''s price table; null when the model has no price.';
comment on column public.generated_carousel_images.duration_ms is 'From the call''s start to the recorded image, in milliseconds.';
comment on column public.generated_carousel_images.provider_request_id is 'The provider''s id of the call, for support.';
comment on column public.generated_carousel_images.error_code is 'Stable code of the failure; see the README.';
comment on column public.generated_carousel_images.error_message is 'The failure in words for a person.';
comment on column public.generated_carousel_images.is_favorite is 'Marked by its owner.';
comment on column public.generated_carousel_images.created_at is 'When the row was made.';
comment on column public.generated_carousel_images.completed_at is 'When the image was recorded.';

alter table public.generated_carousel_images enable row level security;

create policy "Owners see their images" on public.generated_carousel_images
  for select to authenticated using (user_id = (select auth.uid()));
create policy "Owners mark their images" on public.generated_carousel_images
  for update to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy "The worker writes every image" on public.generated_carousel_images
  for all to carousel_worker using (true) with check (true);

revoke all on public.generated_carousel_images from public, anon, authenticated, service_role;
grant select on public.generated_carousel_images to authenticated;
grant update (is_favorite) on public.generated_carousel_images to authenticated;
grant select, insert, update, delete on public.generated_carousel_images to service_role;
grant select, insert on public.generated_carousel_images to carousel_worker;
grant update (
  status, storage_path, preview_path, thumbhash, width, height, bytes, mime_type, sha256, prompt, model, quality, usage,
  cost_usd, duration_ms, provider_request_id, error_code, error_message, completed_at
) on public.generated_carousel_images to carousel_worker;

create function carousel_private.sum_usage(usages jsonb[]) returns jsonb
language sql immutable
set search_path = ''
as $$
  select nullif(jsonb_strip_nulls(jsonb_build_object(
    'text_in', sum((usage #>> '{input_tokens_details,text_tokens}')::bigint),
    'image_in', sum((usage #>> '{input_tokens_details,image_tokens}')::bigint),
    'out', sum((usage ->> 'output_tokens')::bigint),
    'total', sum((usage ->> 'total_tokens')::bigint)
  )), '{}')
  from unnest(usages) as usage
$$;
comment on function carousel_private.sum_usage(jsonb[]) is 'Tokens of a job from those of its images; null when none of them has any.';
revoke execute on function carousel_private.sum_usage(jsonb[]) from public;
grant execute on function carousel_private.sum_usage(jsonb[]) to carousel_worker;

create function carousel_private.count_images(
  job uuid, out completed bigint, out failed bigint, out cost_usd numeric, out usage jsonb, out error_code text, out error_message text
)
language sql
-- Volatile, so that it sees what was committed up to its call, not up to the beginning of the statement that calls it: an image may be
-- recorded while that statement waits for the job's lease.
volatile
set search_path = ''
as $$
  select
    count(*) filter (where status = 'completed'),
    count(*) filter (where status = 'failed'),
    coalesce(sum(cost_usd) filter (where status = 'completed'), 0),
    carousel_private.sum_usage(array_agg(usage)),
    (array_agg(error_code order by variant, slide) filter (where status = 'failed'))[1],
    (array_agg(error_message order by variant, slide) filter (where status = 'failed'))[1]
  from public.generated_carousel_images where job_id = job
$$;
comment on function carousel_private.count_images(uuid)
  is 'What the images of a job amount to: counts, cost and tokens, and the first failure. Call it once the job''s lease is locked.';
revoke execute on function carousel_private.count_images(uuid) from public;
grant execute on function carousel_private.count_images(uuid) to carousel_worker;

-- A view's computed columns count as nullable in generated types, unless their type says otherwise.
create domain carousel_private.count as integer not null;
create domain carousel_private.flag as boolean not null;
create domain carousel_private.moment as timestamptz not null;
comment on domain carousel_private.count is 'A number that a view always has.';
comment on domain carousel_private.flag is 'A truth value that a view always has.';
comment on domain carousel_private.moment is 'A time that a view always has.';

create view public.generated_carousels with (security_invoker = true) as
select
  carousel_id as id,
  job_id,
  user_id,
  variant,
  aspect_ratio,
  count(*)::carousel_private.count as slides,
  (count(*) filter (where status = 'completed'))::carousel_private.count as completed_slides,
  (count(*) filter (where status = 'failed'))::carousel_private.count as failed_slides,
  (array_agg(storage_path order by slide) filter (where status = 'completed'))[1] as cover_path,
  (array_agg(thumbhash order by slide) filter (where status = 'completed'))[1] as cover_thumbhash,
  bool_or(is_favorite)::carousel_private.flag as is_favorite,
  sum(cost_usd) as cost_usd,
  min(created_at)::carousel_private.moment as created_at,
  max(completed_at) as last_completed_at
from public.generated_carousel_images
group by carousel_id, job_id, user_id, variant, aspect_ratio;

comment on view public.generated_carousels is 'Carousels: a row for each job, variant and aspect ratio, with counts and the cover.';
comment on column public.generated_carousels.id is 'The images'' carousel_id.';
comment on column public.generated_carousels.job_id is 'Job that made it.';
comment on column public.generated_carousels.user_id is 'Owner.';
comment on column public.generated_carousels.variant is 'Variant, from 1.';
comment on column public.generated_carousels.aspect_ratio is 'Ratio of its slides.';
comment on column public.generated_carousels.slides is 'Number of slides.';
comment on column public.generated_carousels.completed_slides is 'Slides that are in the bucket.';
comment on column public.generated_carousels.failed_slides is 'Slides that could not be made.';
comment on column public.generated_carousels.cover_path is 'Object of the first completed slide.';
comment on column public.generated_carousels.cover_thumbhash is 'Placeholder of the first completed slide.';
comment on column public.generated_carousels.is_favorite is 'Whether one of its images is marked.';
comment on column public.generated_carousels.cost_usd is 'What its images cost, in dollars.';
comment on column public.generated_carousels.created_at is 'When its first row was made.';
comment on column public.generated_carousels.last_completed_at is 'When its latest image was recorded.';

revoke all on public.generated_carousels from public, anon, authenticated, service_role;
grant select on public.generated_carousels to authenticated, service_role, carousel_worker;
