-- The app's frontend from before carousel goes on unchanged: its columns stand beside ours, filled and understood by triggers, and the status
-- of a job has its words. Its address of a picture is the public one.

do $$
begin
  if (select public_address from carousel_private.adoption) is null then
    raise exception 'it is not known what the public addresses of the project''s objects begin with'
      using hint = 'Set carousel_private.adoption.public_address: https://{project}.supabase.co/storage/v1/object/public/generated-carousels/';
  end if;
  if not exists (select from storage.buckets where id = 'generated-carousels' and public) then
    raise exception 'the bucket generated-carousels is not public, and the frontend shows public addresses'
      using hint = 'Keep the bucket as the app has it.';
  end if;
end
$$;

alter table public.image_generation_templates
  add column thumbnail_url text,
  add column source_images jsonb,
  add column default_prompt text,
  add column default_settings jsonb,
  add column usage_count integer not null default 0,
  -- No foreign key: a second one between these tables would make each request for both ambiguous.
  add column job_id uuid,
  add constraint words_from_before_are_few check (
    coalesce(octet_length(thumbnail_url), 0) + coalesce(octet_length(source_images::text), 0) + coalesce(octet_length(default_prompt), 0)
      + coalesce(octet_length(default_settings::text), 0) <= 262144
  );
alter table public.image_generation_jobs
  add column name text,
  add column template_name text,
  add column template_description text,
  add column settings jsonb,
  add column completed_at timestamptz,
  add constraint words_from_before_are_few check (
    coalesce(octet_length(name), 0) + coalesce(octet_length(template_name), 0) + coalesce(octet_length(template_description), 0)
      + coalesce(octet_length(settings::text), 0) <= 262144
  );
alter table public.generated_carousel_images
  add column carousel_index integer,
  add column image_index integer,
  add column source_image_url text,
  add column generated_image_url text,
  add column prompt_used text,
  add column settings_used jsonb;

comment on column public.image_generation_templates.thumbnail_url is 'Public address of the first source. From before carousel.';
comment on column public.image_generation_templates.source_images is 'Public addresses of source_paths. From before carousel.';
comment on column public.image_generation_templates.default_prompt is 'prompt. From before carousel.';
comment on column public.image_generation_templates.default_settings is 'Settings as the frontend from before carousel has them.';
comment on column public.image_generation_templates.usage_count is 'use_count. From before carousel.';
comment on column public.image_generation_templates.job_id is 'Job that the frontend from before carousel made it of.';
comment on column public.image_generation_jobs.name is 'title. From before carousel.';
comment on column public.image_generation_jobs.template_name is 'Name of the template. From before carousel.';
comment on column public.image_generation_jobs.template_description is 'Free text, or JSON with sources and prompts. From before carousel.';
comment on column public.image_generation_jobs.settings is 'Settings as the frontend from before carousel has them.';
comment on column public.image_generation_jobs.completed_at is 'finished_at. From before carousel.';
comment on column public.image_generation_jobs.status is 'queued, processing, completed (perhaps some images failed) or failed: the words of the frontend from before carousel.';
comment on column public.generated_carousel_images.carousel_index is 'variant, from 0. From before carousel.';
comment on column public.generated_carousel_images.image_index is 'slide, from 0. From before carousel.';
comment on column public.generated_carousel_images.source_image_url is 'Public address of the first source that went along. From before carousel.';
comment on column public.generated_carousel_images.generated_image_url is 'Public address of storage_path. From before carousel.';
comment on column public.generated_carousel_images.prompt_used is 'prompt. From before carousel.';
comment on column public.generated_carousel_images.settings_used is 'The job''s settings. From before carousel.';

grant insert (thumbnail_url, source_images, default_prompt, default_settings, usage_count, job_id)
  on public.image_generation_templates to authenticated;
grant insert (name, template_name, template_description, settings, status) on public.image_generation_jobs to authenticated;

-- Its images are there once they are made.
create policy "The frontend sees images that are made" on public.generated_carousel_images
  as restrictive for select to authenticated using (status = 'completed');
create policy "carousel: owners upload photos of templates" on storage.objects
  for insert to authenticated
  with check (
    bucket_id = 'generated-carousels'
    and (storage.foldername(name))[1] = (select auth.uid()::text)
    and (storage.foldername(name))[2] = 'templates'
  );
-- It removes a job's pictures itself, and then the job.
create policy "carousel: owners delete pictures" on storage.objects
  for delete to authenticated
  using (
    bucket_id = 'generated-carousels'
    and (storage.foldername(name))[1] = (select auth.uid()::text)
    and (storage.foldername(name))[2] in ('templates', 'generated', 'jobs')
  );

create function carousel_private.public_url(path text) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select public_address || replace(replace(path, ' ', '%20'), '?', '%3F') from carousel_private.adoption
$$;
comment on function carousel_private.public_url(text) is 'The public address of an object.';

create function carousel_private.own_sources(owner uuid, document jsonb) returns text[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  foreign_address text;
begin
  -- Beside its list of sources an object may name other pictures, as a thumbnail.
  if jsonb_typeof(document) = 'object' then
    document := coalesce(
      (
        select value from jsonb_each(document)
        where jsonb_typeof(value) = 'array' and cardinality(carousel_private.own_paths(owner, value)) > 0
        order by key ilike '%source%' desc, cardinality(carousel_private.own_paths(owner, value)) desc limit 1
      ),
      document
    );
  end if;
  select value #>> '{}' into foreign_address
    from jsonb_path_query(document, 'strict $.** ? (@.type() == "string")') as value
    where value #>> '{}' ~ '^https?://[^/]+/storage/v1/(object|render/image)/(public|sign|authenticated)/generated-carousels/'
      and carousel_private.own_path(owner, value #>> '{}') is null
    limit 1;
  if found then
    raise exception 'source % is not in your folder', quote_literal(left(foreign_address, 200))
      using errcode = '42501', detail = 'source_path_foreign',
        hint = 'Upload it to ' || owner::text || '/sources/... and pass its public address.';
  end if;
  return nullif(carousel_private.own_paths(owner, document), '{}');
end
$$;
comment on function carousel_private.own_sources(uuid, jsonb) is 'The objects that a document names, null when there are none; refuses those of others.';

create function carousel_private.read_old_template() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.source_paths is not null or num_nonnulls(new.source_images, new.default_prompt, new.default_settings) = 0 then
    return new;
  end if;
  new.source_paths := carousel_private.own_sources(new.user_id, new.source_images);
  if new.source_paths is null then
    raise exception 'the template has no source images'
      using errcode = '23514', detail = 'sources_missing', hint = 'Pass source_images with the public addresses of 1 to 100 uploaded images.';
  end if;
  new.slides_from := 'sources';
  new.prompt := coalesce(new.prompt, new.default_prompt);
  new.slide_prompts := coalesce(carousel_private.old_prompts(array[new.default_settings], cardinality(new.source_paths)), '{}');
  new.aspect_ratios := array[carousel_private.old_ratio(new.default_settings)];
  new.style := carousel_private.old_style(new.default_settings);
  return new;
end
$$;
comment on function carousel_private.read_old_template() is 'Understands a template as the frontend from before carousel makes one.';

create function carousel_private.tell_old_template() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  is_new constant boolean := tg_op = 'INSERT';
begin
  if new.source_images is null or (not is_new and new.source_paths is distinct from old.source_paths) then
    new.source_images := (
      select jsonb_agg(carousel_private.public_url(path) order by place) from unnest(new.source_paths) with ordinality as source (path, place)
    );
    new.thumbnail_url := case when is_new then new.thumbnail_url end;
  end if;
  new.thumbnail_url := coalesce(new.thumbnail_url, carousel_private.public_url(new.source_paths[1]));
  if new.default_prompt is null or (not is_new and new.prompt is distinct from old.prompt) then
    new.default_prompt := new.prompt;
  end if;
  if new.default_settings is null then
    new.default_settings := jsonb_build_object('aspect_ratio', new.aspect_ratios[1]);
  elsif not is_new and new.aspect_ratios is distinct from old.aspect_ratios and jsonb_typeof(new.default_settings) = 'object' then
    new.default_settings := new.default_settings || jsonb_build_object('aspect_ratio', new.aspect_ratios[1]);
  end if;
  new.usage_count := new.use_count;
  return new;
end
$$;
comment on function carousel_private.tell_old_template() is 'Says of a template what the frontend from before carousel reads.';

create function carousel_private.read_old_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  described constant jsonb := carousel_private.as_json(new.template_description);
  slides integer;
  prompts text[];
begin
  if new.stage = 'queued' then
    if new.status not in ('pending', 'queued', 'processing') then
      raise exception 'a new job can''t be %', quote_literal(left(new.status, 80))
        using errcode = '23514', detail = 'transition_forbidden', hint = 'Leave status out, or pass queued.';
    end if;
    -- That frontend says processing of what it has just sent as well.
    new.status := 'pending';
  end if;
  if num_nonnulls(new.name, new.template_name, new.template_description, new.settings) = 0 then
    return new;
  end if;

  new.title := coalesce(new.title, left(coalesce(new.name, new.template_name), 200));
  new.source_paths := coalesce(
    new.source_paths, carousel_private.own_sources(new.user_id, described), carousel_private.own_sources(new.user_id, new.settings)
  );
  if new.slide_sources is null then
    new.slides_from := coalesce(new.slides_from, 'sources');
  end if;
  if new.slide_prompts is null then
    slides := coalesce(
      cardinality(new.source_paths),
      (select cardinality(source_paths) from public.image_generation_templates where id = new.template_id and user_id = new.user_id)
    );
    prompts := carousel_private.old_prompts(array[described, new.settings], slides);
    if prompts is not null and not exists (select from unnest(prompts) as words where words !~ '\S') then
      -- Each has its own in place of the one for all.
      new.slide_prompts := prompts;
      new.prompt := '';
    elsif new.prompt ~ '\S' or new.source_paths is not null then
      new.slide_prompts := coalesce(prompts, '{}');
    end if;
  end if;
  if new.settings is not null or new.template_id is null then
    new.aspect_ratios := coalesce(new.aspect_ratios, array[carousel_private.old_ratio(new.settings)]);
  end if;
  new.quality := coalesce(new.quality, carousel_private.old_quality(new.settings));
  new.style := coalesce(new.style, nullif(carousel_private.old_style(new.settings), '{}'));
  return new;
end
$$;
comment on function carousel_private.read_old_job() is 'Understands a job as the frontend from before carousel makes one.';

create function carousel_private.tell_old_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'UPDATE' and new.title is distinct from old.title then
    new.name := new.title;
  end if;
  new.name := coalesce(new.name, new.title, nullif(btrim(left(btrim(new.prompt, e' \t\r\n'), 60), e' \t\r\n'), ''), 'Carousel');
  new.template_name := coalesce(
    new.template_name, (select name from public.image_generation_templates where id = new.template_id), new.name
  );
  new.settings := coalesce(
    new.settings, jsonb_strip_nulls(jsonb_build_object('aspect_ratio', new.aspect_ratios[1], 'quality', new.quality))
  );
  new.completed_at := new.finished_at;
  new.status := case
    when new.status = 'pending' then 'queued'
    when new.status = 'partial' then 'completed'
    when new.status = 'cancelled' then case when new.completed_images > 0 then 'completed' else 'failed' end
    else new.status
  end;
  new.progress := case when new.status = 'completed' then 100 else least(new.progress, 99) end;
  return new;
end
$$;
comment on function carousel_private.tell_old_job() is 'Says of a job what the frontend from before carousel reads.';

create function carousel_private.tell_old_image() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  job public.image_generation_jobs;
begin
  new.carousel_index := new.variant - 1;
  new.image_index := new.slide - 1;
  if new.storage_path is not null
    and (new.generated_image_url is null or (tg_op = 'UPDATE' and new.storage_path is distinct from old.storage_path))
  then
    select * into job from public.image_generation_jobs where id = new.job_id;
    new.generated_image_url := carousel_private.public_url(new.storage_path);
    new.source_image_url := coalesce(new.source_image_url, carousel_private.public_url(job.source_paths[case job.slides_from
      when 'sources' then new.slide else coalesce((job.slide_sources -> (new.slide - 1) ->> 0)::integer, 1)
    end]));
    new.prompt_used := coalesce(new.prompt, job.prompt);
    new.settings_used := coalesce(new.settings_used, job.settings);
  end if;
  return new;
end
$$;
comment on function carousel_private.tell_old_image() is 'Says of an image what the frontend from before carousel reads.';

revoke execute on function
  carousel_private.public_url(text), carousel_private.own_sources(uuid, jsonb), carousel_private.read_old_template(),
  carousel_private.tell_old_template(), carousel_private.read_old_job(), carousel_private.tell_old_job(), carousel_private.tell_old_image()
  from public;

-- What was cancelled has failed without a code, or is completed with the images that there are.
alter table public.image_generation_jobs
  drop constraint status_known,
  drop constraint queued_exactly_when_pending,
  drop constraint completed_has_all_images,
  drop constraint failed_has_a_code;

-- The rows that there are: with what the app had written, and for the rest as new ones. Nothing else of ours takes notice.
alter table public.image_generation_templates disable trigger user;
alter table public.image_generation_jobs disable trigger user;
alter table public.generated_carousel_images disable trigger user;

-- Triggers go by their names: what is understood comes before what prepares and checks a row, what is told behind.
create trigger before_carousel before insert on public.image_generation_templates
  for each row execute function carousel_private.read_old_template();
create trigger tell_old_words before insert or update on public.image_generation_templates
  for each row execute function carousel_private.tell_old_template();
create trigger before_carousel before insert on public.image_generation_jobs
  for each row execute function carousel_private.read_old_job();
create trigger tell_old_words before insert or update on public.image_generation_jobs
  for each row execute function carousel_private.tell_old_job();
create trigger tell_old_words before insert or update on public.generated_carousel_images
  for each row execute function carousel_private.tell_old_image();

do $$
begin
  if to_regclass('public.image_generation_jobs_before_carousel') is not null then
    update public.image_generation_templates template
      set thumbnail_url = before.thumbnail_url, source_images = before.source_images, default_prompt = before.default_prompt,
        default_settings = before.default_settings, use_count = coalesce(before.usage_count, 0),
        -- A column that the app has added later.
        job_id = (to_jsonb(before) ->> 'job_id')::uuid
      from public.image_generation_templates_before_carousel before where before.id = template.id;
    update public.image_generation_jobs job
      set name = before.name, template_name = before.template_name, template_description = before.template_description, settings = before.settings
      from public.image_generation_jobs_before_carousel before where before.id = job.id;
    update public.generated_carousel_images image
      set source_image_url = before.source_image_url, generated_image_url = before.generated_image_url, prompt_used = before.prompt_used,
        settings_used = before.settings_used
      from public.generated_carousel_images_before_carousel before where before.id = image.id;
  end if;
end
$$;
update public.image_generation_templates set source_images = source_images where source_images is null or usage_count <> use_count;
update public.image_generation_jobs set name = name where name is null or completed_at is null;
update public.generated_carousel_images set carousel_index = carousel_index where carousel_index is null;

alter table public.image_generation_templates enable trigger user;
alter table public.image_generation_jobs enable trigger user;
alter table public.generated_carousel_images enable trigger user;

alter table public.image_generation_jobs
  add constraint status_known check (status in ('queued', 'processing', 'completed', 'failed')),
  add constraint queued_exactly_when_pending check ((status = 'queued') = (stage = 'queued')),
  add constraint completed_has_images check ((status = 'completed') = (finished_at is not null and completed_images > 0));
