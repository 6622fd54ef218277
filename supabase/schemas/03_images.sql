-- Images: a row for each picture of a job, and the view that groups them into carousels.

create table public.generated_carousel_images (
  id uuid default gen_random_uuid() not null,
  job_id uuid not null,
  user_id uuid not null,
  carousel_id uuid not null,
  variant integer not null,
  slide integer not null,
  aspect_ratio text not null,
  status text default 'pending' not null,
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
  cost_usd numeric(12,6),
  duration_ms integer,
  provider_request_id text,
  error_code text,
  error_message text,
  is_favorite boolean default false not null,
  created_at timestamptz default now() not null,
  completed_at timestamptz,
  updated_at timestamptz default clock_timestamp() not null,
  constraint generated_carousel_images_pkey primary key (id),
  constraint one_row_an_image unique (job_id, variant, slide, aspect_ratio),
  constraint generated_carousel_images_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
  constraint variant_between_1_and_10 check (variant between 1 and 10),
  constraint slide_between_1_and_100 check (slide between 1 and 100),
  constraint status_known check (status in ('pending', 'generating', 'completed', 'failed', 'cancelled')),
  constraint completed_exactly_when_completed_at check ((status = 'completed') = (completed_at is not null)),
  constraint stored_exactly_when_completed check ((storage_path is not null) = (status = 'completed')),
  constraint failed_has_a_code check (status <> 'failed' or error_code is not null),
  constraint preview_in_the_owners_folder check (starts_with(preview_path, user_id::text || '/jobs/' || job_id::text || '/')),
  constraint aspect_ratio_known check (aspect_ratio in ('1:1', '4:5', '9:16', '3:4', '16:9', '3:2', '2:3', 'auto')),
  constraint stored_in_the_owners_folder check (starts_with(storage_path, user_id::text || '/')),
  constraint completed_is_whole check (
    status <> 'completed'
    or (
      storage_path is not null
      and (
        not starts_with(storage_path, user_id::text || '/jobs/')
        or (starts_with(storage_path, user_id::text || '/jobs/' || job_id::text || '/')
          and width > 0 and height > 0 and bytes > 0 and mime_type is not null and sha256 is not null)
      )
    )
  )
) with (fillfactor=70);
alter table public.generated_carousel_images enable row level security;
alter table public.generated_carousel_images add constraint generated_carousel_images_job_id_fkey foreign key (job_id) references public.image_generation_jobs(id) on delete cascade;
comment on table public.generated_carousel_images is 'Generated images. Rows exist from the moment that the job is processing, so a page can draw its grid at once.';
comment on column public.generated_carousel_images.id is 'Primary key.';
comment on column public.generated_carousel_images.job_id is 'Job that the image belongs to.';
comment on column public.generated_carousel_images.user_id is 'Owner, the same as the job''s.';
comment on column public.generated_carousel_images.carousel_id is 'One for each job, variant and aspect ratio.';
comment on column public.generated_carousel_images.variant is 'Variant, from 1.';
comment on column public.generated_carousel_images.slide is 'Slide in its carousel, from 1.';
comment on column public.generated_carousel_images.aspect_ratio is '1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, or auto: width and height say what came of it.';
comment on column public.generated_carousel_images.status is 'pending, generating, completed, failed or cancelled.';
comment on column public.generated_carousel_images.storage_path is 'Object in the bucket generated-carousels, set when completed. Never a URL: sign one when it is needed.';
comment on column public.generated_carousel_images.preview_path is 'Latest partial preview while the image is made.';
comment on column public.generated_carousel_images.thumbhash is 'Blurred placeholder, base64, about 25 bytes.';
comment on column public.generated_carousel_images.width is 'Pixels.';
comment on column public.generated_carousel_images.height is 'Pixels.';
comment on column public.generated_carousel_images.bytes is 'Size of the object in bytes.';
comment on column public.generated_carousel_images.mime_type is 'image/png, image/jpeg or image/webp.';
comment on column public.generated_carousel_images.sha256 is 'Digest of the object, lowercase hex; null for what was carried over from before carousel.';
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
comment on column public.generated_carousel_images.updated_at is 'When the row last changed; for rows from before this column, when it was added.';

create index generated_carousel_images_of_user on public.generated_carousel_images (user_id, created_at desc);
create index generated_carousel_images_of_carousel on public.generated_carousel_images (carousel_id, slide);

revoke all on public.generated_carousel_images from public, anon, authenticated, service_role;
grant select on public.generated_carousel_images to authenticated;
grant select, insert, update, delete on public.generated_carousel_images to service_role;
grant select, insert on public.generated_carousel_images to carousel_worker;
grant update (
  status, storage_path, preview_path, thumbhash, width, height, bytes, mime_type, sha256, prompt, model, quality, usage, cost_usd, duration_ms,
  provider_request_id, error_code, error_message, completed_at
) on public.generated_carousel_images to carousel_worker;
grant update (
  is_favorite
) on public.generated_carousel_images to authenticated;

create policy "Owners see their images" on public.generated_carousel_images
  for select to authenticated using (user_id = (select auth.uid()));
create policy "Owners mark their images" on public.generated_carousel_images
  for update to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy "The worker writes every image" on public.generated_carousel_images
  for all to carousel_worker using (true) with check (true);

create domain carousel_private.count as integer not null;
comment on domain carousel_private.count is 'A number that a view always has.';
create domain carousel_private.flag as boolean not null;
comment on domain carousel_private.flag is 'A truth value that a view always has.';
create domain carousel_private.moment as timestamptz not null;
comment on domain carousel_private.moment is 'A time that a view always has.';

-- Rows of images are added while others may already have begun to end their job: a statement does not see what came after its beginning,
-- a trigger does.
create function carousel_private.settle_images() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.generated_carousel_images
    -- What was cancelled has no code; what failed has one.
    set status = case when new.stage = 'queued' then 'pending' when new.error_code is null then 'cancelled' else 'failed' end,
      preview_path = null,
      error_code = case when new.stage = 'finished' then new.error_code end,
      error_message = case when new.stage = 'finished' then new.error_message end
    where job_id = new.id and (status = 'generating' or (status = 'pending' and new.stage <> 'queued'));
  return null;
end
$$;
comment on function carousel_private.settle_images()
  is 'Lets no image be made that belongs to no running job: it waits, is cancelled or fails with its job.';
revoke execute on function carousel_private.settle_images() from public;
create trigger settle_images after update on public.image_generation_jobs
  for each row
  when (old.stage <> 'finished' and new.status is distinct from old.status
    and (new.stage = 'queued' or (new.stage = 'finished' and new.completed_images < new.total_images)))
  execute function carousel_private.settle_images();

create function carousel_private.count_images(
  jobs uuid[], out job_id uuid, out completed bigint, out failed bigint, out cost_usd numeric, out usage jsonb, out error_code text,
  out error_message text
)
returns setof record
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select
      wanted.id,
      count(*) filter (where image.status = 'completed'),
      count(*) filter (where image.status = 'failed'),
      coalesce(sum(image.cost_usd) filter (where image.status = 'completed'), 0),
      nullif(jsonb_strip_nulls(jsonb_build_object(
        'text_in', sum((image.usage #>> '{input_tokens_details,text_tokens}')::bigint),
        'image_in', sum((image.usage #>> '{input_tokens_details,image_tokens}')::bigint),
        'out', sum((image.usage ->> 'output_tokens')::bigint),
        'total', sum((image.usage ->> 'total_tokens')::bigint)
      )), '{}'),
      (array_agg(image.error_code order by image.variant, image.slide) filter (where image.status = 'failed'))[1],
      (array_agg(image.error_message order by image.variant, image.slide) filter (where image.status = 'failed'))[1]
    from unnest(jobs) as wanted (id)
    left join public.generated_carousel_images image on image.job_id = wanted.id and image.job_id = any (jobs)
    group by wanted.id;
end
$$;
comment on function carousel_private.count_images(uuid[])
  is 'What the images of jobs amount to: counts, cost and tokens, and the first failure of each. Call it once their leases are locked.';
revoke execute on function carousel_private.count_images(uuid[]) from public;
grant execute on function carousel_private.count_images(uuid[]) to carousel_worker;

create function carousel_private.stamp_image() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Not the time of the transaction: one that waited for another would seem to be the earlier.
  new.updated_at := clock_timestamp();
  return new;
end
$$;
comment on function carousel_private.stamp_image()
  is 'Keeps updated_at true.';
revoke execute on function carousel_private.stamp_image() from public;
create trigger stamp_image before update on public.generated_carousel_images
  for each row execute function carousel_private.stamp_image();

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
