-- Jobs: what a person asks for, and the rules that hold for it.

-- A template fills what the client leaves out, so "left out" must be visible to the trigger although the columns end up not null.
-- `nullif('', '')` is a default that evaluates to null: it makes the column optional in generated types, where no default would not.
create table public.image_generation_jobs (
  id uuid default gen_random_uuid() not null,
  user_id uuid default auth.uid() not null,
  template_id uuid,
  template_version integer,
  batch_id uuid,
  title text,
  prompt text default nullif('', '') not null,
  slide_prompts text[] default (nullif('', ''))::text[] not null,
  source_paths text[] default (nullif('', ''))::text[] not null,
  aspect_ratios text[] default (nullif('', ''))::text[] not null,
  variants integer default nullif(1, 1) not null,
  style jsonb default (nullif('', ''))::jsonb not null,
  variables jsonb default '{}'::jsonb not null,
  model text,
  quality text,
  output_format text,
  background text,
  partial_previews integer default 0 not null,
  priority integer default 0 not null,
  run_at timestamptz default now() not null,
  idempotency_key text,
  status text default 'pending' not null,
  stage text default 'queued' not null,
  progress integer default 0 not null,
  message text,
  total_images integer default nullif(1, 1) not null,
  completed_images integer default 0 not null,
  failed_images integer default 0 not null,
  attempt integer default 0 not null,
  error_code text,
  error_message text,
  cost_usd numeric(12,6) default 0 not null,
  usage jsonb,
  cancel_requested_at timestamptz,
  retry_requested_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz default now() not null,
  updated_at timestamptz default now() not null,
  slides_from text default nullif('', '') not null,
  slide_sources jsonb,
  constraint image_generation_jobs_pkey primary key (id),
  constraint image_generation_jobs_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
  constraint title_at_most_200_characters check (char_length(title) <= 200),
  constraint prompt_at_most_32000_characters check (char_length(prompt) <= 32000),
  constraint prompt_or_slide_prompts_given check (prompt ~ '\S' or cardinality(slide_prompts) > 0),
  constraint slide_prompts_at_most_100 check (cardinality(slide_prompts) <= 100),
  constraint variants_between_1_and_10 check (variants between 1 and 10),
  constraint style_is_a_small_object check (jsonb_typeof(style) = 'object' and octet_length(style::text) <= 8192),
  constraint style_is_shallow_with_ordinary_numbers check (
    not style @? '$.**{9 to last}' and not style @? '$.** ? (@.type() == "number" && (@ > 1e300 || @ < -1e300))'
  ),
  constraint variables_are_few_and_small check (
    jsonb_typeof(variables) = 'object'
    and octet_length(variables::text) <= 16384
    and jsonb_array_length(jsonb_path_query_array(variables, '$.*')) <= 50
  ),
  constraint variables_are_texts check (not variables @? 'strict $.* ? (@.type() != "string")'),
  constraint variables_have_plain_names check (not variables @? '$.keyvalue() ? (!(@.key like_regex "^[a-z][a-z0-9_]{0,49}$"))'),
  constraint lists_are_flat check (
    coalesce(array_ndims(source_paths), 1) = 1
    and coalesce(array_ndims(slide_prompts), 1) = 1
    and coalesce(array_ndims(aspect_ratios), 1) = 1
  ),
  constraint model_is_a_name check (model ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$'),
  constraint quality_known check (quality in ('low', 'medium', 'high', 'xhigh', 'max', 'auto')),
  constraint output_format_known check (output_format in ('png', 'jpeg', 'webp')),
  constraint background_known check (background in ('transparent', 'opaque', 'auto')),
  constraint transparent_needs_png_or_webp check (background <> 'transparent' or coalesce(output_format, 'png') <> 'jpeg'),
  constraint partial_previews_between_0_and_3 check (partial_previews between 0 and 3),
  constraint priority_between_minus_100_and_100 check (priority between -100 and 100),
  constraint run_at_finite check (isfinite(run_at)),
  constraint idempotency_key_1_to_200_characters check (char_length(idempotency_key) between 1 and 200),
  constraint total_images_at_most_100 check (total_images <= 100),
  constraint status_known check (status in ('pending', 'processing', 'completed', 'partial', 'failed', 'cancelled')),
  constraint stage_known check (stage in ('queued', 'fetching', 'generating', 'finished')),
  constraint finished_exactly_when_finished_at check (
    (status in ('completed', 'partial', 'failed', 'cancelled')) = (finished_at is not null)
  ),
  constraint finished_exactly_when_stage_finished check (
    (status in ('completed', 'partial', 'failed', 'cancelled')) = (stage = 'finished')
  ),
  constraint queued_exactly_when_pending check ((status = 'pending') = (stage = 'queued')),
  constraint processing_has_started check (status <> 'processing' or (started_at is not null and attempt > 0)),
  constraint counts_within_total check (
    completed_images >= 0 and failed_images >= 0 and completed_images + failed_images <= total_images
  ),
  constraint completed_has_all_images check ((status = 'completed') = (finished_at is not null and completed_images = total_images)),
  constraint partial_has_some_images check (status <> 'partial' or completed_images > 0),
  constraint failed_has_no_images check (status <> 'failed' or completed_images = 0),
  constraint failed_has_a_code check (status <> 'failed' or error_code is not null),
  constraint progress_between_0_and_100 check (progress between 0 and 100),
  constraint progress_100_exactly_when_completed check ((progress = 100) = (status = 'completed')),
  constraint attempt_not_negative check (attempt >= 0),
  constraint cost_not_negative check (cost_usd >= 0),
  constraint slides_from_known check (slides_from in ('prompts', 'sources')),
  constraint source_paths_1_to_100 check (cardinality(source_paths) between 1 and 100),
  constraint at_most_16_sources_a_slide check (
    cardinality(source_paths) <= 16 or slides_from = 'sources' or slide_sources is not null
  ),
  constraint slide_sources_belong_to_prompts check (slide_sources is null or slides_from = 'prompts'),
  constraint slide_sources_are_lists_of_numbers check (
    jsonb_typeof(slide_sources) = 'array'
    and not slide_sources @? 'strict $[*] ? (@.type() != "array")'
    and not slide_sources @? '$[*][*] ? (@.type() != "number" || @ < 1 || @ > 100)'
  ),
  constraint aspect_ratios_known_and_distinct check (
    -- Distinct: as many elements as known ratios among them. A null element makes the sum null, and a check passes null.
    cardinality(aspect_ratios) between 1 and 8
    and coalesce(
      cardinality(aspect_ratios) = ('1:1' = any (aspect_ratios))::integer + ('4:5' = any (aspect_ratios))::integer
        + ('9:16' = any (aspect_ratios))::integer + ('3:4' = any (aspect_ratios))::integer + ('16:9' = any (aspect_ratios))::integer
        + ('3:2' = any (aspect_ratios))::integer + ('2:3' = any (aspect_ratios))::integer + ('auto' = any (aspect_ratios))::integer,
      false
    )
  ),
  constraint total_images_is_what_was_asked_for check (
    total_images = variants * cardinality(aspect_ratios)
      * case slides_from when 'sources' then cardinality(source_paths) else greatest(1, cardinality(slide_prompts)) end
  )
) with (fillfactor=70);
alter table public.image_generation_jobs enable row level security;
alter table public.image_generation_jobs add constraint image_generation_jobs_template_id_fkey foreign key (template_id) references public.image_generation_templates(id) on delete set null;
comment on table public.image_generation_jobs is 'Requests for carousels. A client inserts a row; the worker writes status, progress and outcome.';
comment on column public.image_generation_jobs.id is 'Primary key; a client may choose it.';
comment on column public.image_generation_jobs.user_id is 'Owner; filled with the signed-in user.';
comment on column public.image_generation_jobs.template_id is 'Template the job was made from, or the one that it made. What the job leaves out is taken from it.';
comment on column public.image_generation_jobs.template_version is 'Version of the template that the job was made with.';
comment on column public.image_generation_jobs.batch_id is 'Groups jobs that were sent together.';
comment on column public.image_generation_jobs.title is 'What lists show, at most 200 characters.';
comment on column public.image_generation_jobs.prompt is 'What to make of the sources, at most 32000 characters. Its variables are filled in at insert.';
comment on column public.image_generation_jobs.slide_prompts is 'One text a slide, added to the prompt; empty for a single slide, or for slides that share the prompt.';
comment on column public.image_generation_jobs.source_paths is 'Objects in the bucket generated-carousels, all in the owner''s folder: 1 to 16, or 100 where no slide sees more than 16 of them.';
comment on column public.image_generation_jobs.aspect_ratios is 'Ratios to make: 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, and auto for each slide as its own photo.';
comment on column public.image_generation_jobs.variants is 'Number of variants of the whole carousel, 1 to 10.';
comment on column public.image_generation_jobs.style is 'Style options as a JSON object; each entry is added to the prompt.';
comment on column public.image_generation_jobs.variables is 'Values for {{name}} in prompt and slide_prompts, a JSON object of texts: at most 50 names like product_2, 16 kB in all, with the template''s defaults.';
comment on column public.image_generation_jobs.model is 'Provider model; the worker''s default when null.';
comment on column public.image_generation_jobs.quality is 'low, medium, high, xhigh, max or auto; the worker''s default when null.';
comment on column public.image_generation_jobs.output_format is 'png, jpeg or webp; png when null.';
comment on column public.image_generation_jobs.background is 'transparent, opaque or auto; the provider''s default when null.';
comment on column public.image_generation_jobs.partial_previews is 'Previews to show while an image is made, 0 to 3. Each costs output tokens.';
comment on column public.image_generation_jobs.priority is 'Order among the jobs of one user, -100 to 100, higher first. Not against other users.';
comment on column public.image_generation_jobs.run_at is 'Not before this time.';
comment on column public.image_generation_jobs.idempotency_key is 'Unique for a user: a repeated request finds the first job.';
comment on column public.image_generation_jobs.status is 'pending, processing, completed, partial (some images failed), failed or cancelled.';
comment on column public.image_generation_jobs.stage is 'queued, fetching (sources), generating or finished.';
comment on column public.image_generation_jobs.progress is '0 to 100; 100 exactly when completed.';
comment on column public.image_generation_jobs.message is 'What is happening, in words for a person.';
comment on column public.image_generation_jobs.total_images is 'variants x max(1, slides) x aspect ratios, at most 100.';
comment on column public.image_generation_jobs.completed_images is 'Images that are in the bucket.';
comment on column public.image_generation_jobs.failed_images is 'Images that could not be made.';
comment on column public.image_generation_jobs.attempt is 'How many times a worker has taken the job up; an interruption gives its attempt back.';
comment on column public.image_generation_jobs.error_code is 'Stable code of the failure; see the README.';
comment on column public.image_generation_jobs.error_message is 'The failure in words for a person.';
comment on column public.image_generation_jobs.cost_usd is 'What the job''s images cost, in dollars.';
comment on column public.image_generation_jobs.usage is 'Tokens used: text_in, image_in, out, total.';
comment on column public.image_generation_jobs.cancel_requested_at is 'Set by a client to cancel the job.';
comment on column public.image_generation_jobs.retry_requested_at is 'Set by a client to make the images that are not completed once more.';
comment on column public.image_generation_jobs.started_at is 'When a worker first took it up.';
comment on column public.image_generation_jobs.finished_at is 'When it reached its last state.';
comment on column public.image_generation_jobs.created_at is 'When the row was made.';
comment on column public.image_generation_jobs.updated_at is 'When the row last changed.';
comment on column public.image_generation_jobs.slides_from is 'prompts: a slide for each slide prompt, or a single one, and each sees all sources. sources: each source becomes a slide.';
comment on column public.image_generation_jobs.slide_sources is 'For each slide, which sources go along with it: a list with a list of numbers, from 1, for each. Null: all.';

create index image_generation_jobs_of_user on public.image_generation_jobs (user_id, created_at desc, id desc);
create index image_generation_jobs_of_template on public.image_generation_jobs (template_id) where template_id is not null;
create index image_generation_jobs_of_batch on public.image_generation_jobs (batch_id) where batch_id is not null;
-- Whole, not partial: an upsert can name its columns only then.
create unique index image_generation_jobs_idempotency_key on public.image_generation_jobs (user_id, idempotency_key);

revoke all on public.image_generation_jobs from public, anon, authenticated, service_role;
grant select, delete on public.image_generation_jobs to authenticated;
grant select, insert, update, delete on public.image_generation_jobs to service_role;
grant select on public.image_generation_jobs to carousel_worker;
grant insert (
  id, user_id, template_id, batch_id, title, prompt, slide_prompts, source_paths, aspect_ratios, variants, style, variables, model, quality,
  output_format, background, partial_previews, priority, run_at, idempotency_key, slides_from, slide_sources
) on public.image_generation_jobs to authenticated;
grant update (
  title, cancel_requested_at, retry_requested_at
) on public.image_generation_jobs to authenticated;
grant update (
  run_at, status, stage, progress, message, completed_images, failed_images, attempt, error_code, error_message, cost_usd, usage, started_at,
  finished_at
) on public.image_generation_jobs to carousel_worker;

create policy "Owners see their jobs" on public.image_generation_jobs
  for select to authenticated using (user_id = (select auth.uid()));
create policy "Owners add jobs" on public.image_generation_jobs
  for insert to authenticated with check (user_id = (select auth.uid()));
create policy "Owners change their jobs" on public.image_generation_jobs
  for update to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy "Owners delete their jobs" on public.image_generation_jobs
  for delete to authenticated using (user_id = (select auth.uid()));
create policy "The worker sees every job" on public.image_generation_jobs
  for select to carousel_worker using (true);
create policy "The worker writes every job" on public.image_generation_jobs
  for update to carousel_worker using (true) with check (true);

create function carousel_private.require_makeable(job public.image_generation_jobs) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  slides integer := carousel_private.count_slides(job.slides_from, job.source_paths, job.slide_prompts);
  ratios integer := cardinality(job.aspect_ratios);
begin
  if job.prompt !~ '\S'
    and (cardinality(job.slide_prompts) = 0 or exists (select from unnest(job.slide_prompts) as words where words !~ '\S'))
  then
    raise exception 'the job has no prompt'
      using errcode = '23514', constraint = 'prompt_or_slide_prompts_given', detail = 'prompt_missing',
        hint = 'Pass prompt, or slide_prompts with words for every slide.';
  end if;
  if cardinality(job.source_paths) = 0 then
    raise exception 'the job has 0 source images'
      using errcode = '23514', constraint = 'source_paths_1_to_100', detail = 'sources_missing',
        hint = 'Pass source_paths with 1 to 16 uploaded images, or template_id.';
  end if;
  if array_ndims(job.source_paths) = 1 and coalesce(array_ndims(job.slide_prompts), 1) = 1 then
    perform carousel_private.require_slides(job.slides_from, job.source_paths, job.slide_prompts, job.slide_sources);
  end if;
  if job.variants not between 1 and 10 then
    raise exception 'variants is %', job.variants
      using errcode = '23514', constraint = 'variants_between_1_and_10', detail = 'variants_out_of_range', hint = 'Pass 1 to 10.';
  end if;
  if ratios = 0 or ratios <> (
    select count(distinct ratio) from unnest(job.aspect_ratios) as ratio
    where ratio in ('1:1', '4:5', '9:16', '3:4', '16:9', '3:2', '2:3', 'auto')
  ) then
    raise exception 'aspect_ratios is %', left(job.aspect_ratios::text, 80)
      using errcode = '23514', constraint = 'aspect_ratios_known_and_distinct', detail = 'aspect_ratios_invalid',
        hint = 'Pass one or more of 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3 and auto, each once.';
  end if;
  if job.variants * slides * ratios > 100 then
    raise exception 'the job has % images: % variants x % slides x % aspect ratios', job.variants * slides * ratios, job.variants, slides, ratios
      using errcode = '23514', constraint = 'total_images_at_most_100', detail = 'too_many_images',
        hint = 'A job has at most 100: send several jobs with the same batch_id.';
  end if;
  perform carousel_private.require_room_in_prompt(job);
end
$$;
comment on function carousel_private.require_makeable(public.image_generation_jobs)
  is 'Refuses what clients get wrong most, in words and with the fix; constraints of the same names stand behind it.';
revoke execute on function carousel_private.require_makeable(public.image_generation_jobs) from public;

create function carousel_private.use_template_of_sources(job public.image_generation_jobs, raw public.image_generation_jobs) returns public.image_generation_templates
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  blanks constant text := e' \t\r\n';
  template public.image_generation_templates;
begin
  select * into template from public.image_generation_templates
    where user_id = job.user_id
      and hash_array_extended(source_paths, 0) = hash_array_extended(job.source_paths, 0)
      and source_paths = job.source_paths
    order by created_at, id limit 1
    for no key update;
  if found then
    update public.image_generation_templates set use_count = use_count + 1, last_used_at = now() where id = template.id;
    return template;
  end if;
  begin
    insert into public.image_generation_templates (
      user_id, name, source_paths, prompt, slide_prompts, slides_from, slide_sources, aspect_ratios, variants, style, variables,
      use_count, last_used_at
    ) values (
      job.user_id,
      left(coalesce(
        nullif(btrim(job.title, blanks), ''), nullif(btrim(left(btrim(job.prompt, blanks), 60), blanks), ''),
        'Carousel of ' || to_char(now(), 'FMDD Mon YYYY')
      ), 200),
      raw.source_paths, raw.prompt, raw.slide_prompts, raw.slides_from, raw.slide_sources, raw.aspect_ratios, raw.variants, raw.style,
      raw.variables, 1, now()
    ) returning * into template;
  exception
    when check_violation then
      -- The job breaks the same rule, and its own constraint names the table that the client wrote to; or the words fit only once
      -- their variables are filled in.
      return null;
  end;
  return template;
end
$$;
comment on function carousel_private.use_template_of_sources(public.image_generation_jobs, public.image_generation_jobs)
  is 'Finds or makes the template of a job''s sources, made of the words as the client sent them: raw. Null when none can be made.';
revoke execute on function carousel_private.use_template_of_sources(public.image_generation_jobs, public.image_generation_jobs) from public;

create function carousel_private.prepare_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  template public.image_generation_templates;
  raw public.image_generation_jobs;
begin
  if new.user_id is null then
    raise exception 'the job has no user'
      using errcode = '23502', detail = 'user_missing', hint = 'Sign in, or name user_id when you insert with the secret key.';
  end if;
  if new.template_id is not null then
    select * into template from public.image_generation_templates where id = new.template_id and user_id = new.user_id;
    if not found then
      raise exception 'template % is not among your templates', new.template_id
        using errcode = '42501', detail = 'template_not_found', hint = 'Read image_generation_templates for the ids that you can use.';
    end if;
  end if;

  new.prompt := coalesce(new.prompt, template.prompt, '');
  new.slide_prompts := coalesce(new.slide_prompts, template.slide_prompts, '{}');
  new.source_paths := coalesce(new.source_paths, template.source_paths, '{}');
  -- Who says where the slides come from says all of it.
  new.slide_sources := coalesce(nullif(new.slide_sources, 'null'), case when new.slides_from is null then template.slide_sources end);
  new.slides_from := coalesce(new.slides_from, template.slides_from, 'prompts');
  new.aspect_ratios := coalesce(new.aspect_ratios, template.aspect_ratios, '{1:1}');
  new.variants := coalesce(new.variants, template.variants, 1);
  new.style := coalesce(new.style, template.style, '{}');
  new.variables := coalesce(template.variables, '{}') || coalesce(new.variables, '{}');
  new.partial_previews := coalesce(new.partial_previews, 0);
  new.priority := coalesce(new.priority, 0);
  new.run_at := coalesce(new.run_at, now());
  raw := new;
  new.prompt := carousel_private.fill_in(new.prompt, new.variables);
  -- Other shapes, and too many, are refused as they came.
  if array_ndims(new.slide_prompts) = 1 and cardinality(new.slide_prompts) <= 100 then
    new.slide_prompts := array(
      select carousel_private.fill_in(words, new.variables)
      from unnest(new.slide_prompts) with ordinality as slide (words, place) order by place
    );
  end if;

  perform carousel_private.require_makeable(new);
  new.total_images := new.variants * cardinality(new.aspect_ratios)
    * carousel_private.count_slides(new.slides_from, new.source_paths, new.slide_prompts);
  perform carousel_private.require_own_paths(new.user_id, new.source_paths);
  perform carousel_private.require_slide_prompts(new.slide_prompts);

  -- One user's inserts take their turn, so that two at once don't make the same template twice.
  perform pg_advisory_xact_lock(hashtextextended('carousel user ' || new.user_id::text, 0));
  -- A repeated request is about to end at its unique key: it is not another use of its template, nor counted against a limit.
  -- A row that is being deleted is waited for: it is gone for the unique key, and so it is for the limits.
  -- What is another's is told no sooner than by the key: before it everything is as for an id that nobody has.
  -- By the id alone, so that no plan for an empty table reads all of the owner's jobs.
  perform from public.image_generation_jobs where id = new.id and (user_id = new.user_id) is true for key share;
  if found then
    return new;
  end if;
  perform from public.image_generation_jobs where user_id = new.user_id and idempotency_key = new.idempotency_key for key share;
  if found then
    return new;
  end if;
  perform carousel_private.require_within_limits(new.id, new.user_id, new.total_images);
  if new.template_id is null then
    template := carousel_private.use_template_of_sources(new, raw);
  else
    update public.image_generation_templates set use_count = use_count + 1, last_used_at = now() where id = template.id;
  end if;
  new.template_id := template.id;
  new.template_version := template.version;
  return new;
end
$$;
comment on function carousel_private.prepare_job()
  is 'Fills what the client left out, from the template or by default, and its variables; refuses what is not the client''s or beyond its limits.';
revoke execute on function carousel_private.prepare_job() from public;
create trigger prepare_job before insert on public.image_generation_jobs
  for each row execute function carousel_private.prepare_job();

-- A job that was interrupted before it was started again may end with some of its images: from pending to partial.
create function carousel_private.change_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  image record;
begin
  -- Not the time of the transaction: one that waited for another would seem to be the earlier.
  new.updated_at := clock_timestamp();

  if new.retry_requested_at is distinct from old.retry_requested_at and new.status = old.status then
    if old.stage = 'finished' and old.completed_images < old.total_images and new.retry_requested_at is not null then
      -- What is made again is asked for again.
      perform carousel_private.require_within_limits(new.id, new.user_id, new.total_images - new.completed_images);
      -- So that other jobs of the same statement are counted with it; its turn comes after the update.
      insert into carousel_private.queue (job_id, user_id, priority, run_at, images)
        values (new.id, new.user_id, new.priority, now(), new.total_images)
        on conflict do nothing;
      new.retry_requested_at := now();
      new.cancel_requested_at := null;
      new.status := 'pending';
      new.stage := 'queued';
      new.run_at := now();
      new.attempt := 0;
      new.failed_images := 0;
      new.finished_at := null;
      new.error_code := null;
      new.error_message := null;
      new.message := 'Waiting to be made once more';
      update public.generated_carousel_images
        set status = 'pending', error_code = null, error_message = null
        where job_id = new.id and status in ('failed', 'cancelled');
      return new;
    end if;
    -- Nothing to make again, or not yet.
    new.retry_requested_at := old.retry_requested_at;
  end if;

  if new.cancel_requested_at is distinct from old.cancel_requested_at then
    if old.stage = 'queued' and new.cancel_requested_at is not null then
      -- A job that was interrupted has made some of its images, or all of them.
      select * into image from carousel_private.count_images(array[new.id]);
      new.completed_images := image.completed;
      new.cost_usd := image.cost_usd;
      new.usage := image.usage;
      new.cancel_requested_at := now();
      new.stage := 'finished';
      new.finished_at := now();
      select ending.status, ending.progress, ending.message, ending.failed_images
        into new.status, new.progress, new.message, new.failed_images
        from carousel_private.ending_of(
          total => new.total_images, shown => new.progress, started_at => new.started_at,
          completed => image.completed, failed => image.failed, image_code => null, image_words => null,
          cancelled => true, code => null, words => null
        ) as ending;
    elsif old.status = 'processing' and old.cancel_requested_at is null then
      new.cancel_requested_at := now();
      new.message := 'Cancelling';
      -- Only to be quick: the renewal of the lease brings the wish back as well.
      perform pg_notify('carousel_cancel', new.id::text);
    else
      -- A job that has ended stays as it is, and a wish once given is not taken back.
      new.cancel_requested_at := old.cancel_requested_at;
    end if;
  end if;

  -- What is over stays so, but for what can be made once more.
  if new.status <> old.status and old.stage = 'finished' and (new.stage <> 'queued' or old.completed_images = old.total_images) then
    raise exception 'a job can''t go from % to %', old.status, new.status
      using errcode = '23514', detail = 'transition_forbidden', hint = 'Set cancel_requested_at or retry_requested_at instead of the status.';
  end if;
  return new;
end
$$;
comment on function carousel_private.change_job()
  is 'Turns requests (cancel, retry) into what they ask for and refuses impossible transitions.';
revoke execute on function carousel_private.change_job() from public;
create trigger change_job before update on public.image_generation_jobs
  for each row execute function carousel_private.change_job();

create function carousel_private.require_room_in_prompt(job public.image_generation_jobs) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- What the provider takes.
  most constant integer := 32000;
  -- Between two parts stands an empty line.
  gap constant integer := 2;
  blanks constant text := e' \t\r\n';
  slides constant integer := carousel_private.count_slides(job.slides_from, job.source_paths, job.slide_prompts);
  -- The longest own shape, which is told in pixels.
  pixels constant text := '0000x0000';
  prompt constant integer := char_length(btrim(job.prompt, blanks));
  style integer;
  worst record;
  added integer;
begin
  -- These are refused in words of their own.
  if jsonb_typeof(job.style) <> 'object' or prompt > most
    or exists (select from unnest(job.slide_prompts) as words where words is null or char_length(words) > most)
  then
    return;
  end if;
  -- A line for each option. Lists are joined and numbers are rounded when they are read: as JSON nothing is shorter, but for a number that
  -- needs an exponent, by two at most.
  select sum(char_length(key) + char_length('- : ') + 1 + case jsonb_typeof(value)
      when 'string' then char_length(btrim(value #>> '{}', blanks))
      else char_length(value::text) + 2 * jsonb_array_length(jsonb_path_query_array(value, 'strict $.** ? (@.type() == "number")'))
    end) + char_length('Style:') into style
    from jsonb_each(job.style)
    where value not in ('null', 'false', '[]') and btrim(value #>> '{}', blanks) <> '';
  added := char_length('Compose it for a frame of .') + (select max(char_length(case ratio when 'auto' then pixels else ratio end)) from unnest(job.aspect_ratios) as ratio)
    + coalesce(style + gap, 0)
    + case when prompt > 0 then gap else 0 end
    + case when job.variants > 1 then
        char_length(format('Variation %1$s of %1$s: keep the subject, and choose a composition of your own.', job.variants)) + gap
      else 0 end;
  select place, char_length(words) as words,
      case when slides > 1 then char_length(format('Slide %s of %s of one carousel', place, slides)) + case words when '' then 1 else 2 end + gap
        when words <> '' then gap else 0 end as around
    into worst
    from (
      select place, btrim(words, blanks) as words
      from unnest(case cardinality(job.slide_prompts) when 0 then array_fill(''::text, array[slides]) else job.slide_prompts end) with ordinality as slide (words, place)
    ) as slide
    order by char_length(words) + case words when '' then 1 else 2 end + char_length(place::text) desc, place limit 1;
  added := added + worst.around;
  if prompt + worst.words + added > most then
    raise exception 'with style, variant and frame the prompt of slide % is % characters long', worst.place, prompt + worst.words + added
      using errcode = '23514', detail = 'prompt_too_long',
        hint = format(
          'The provider takes %s characters, and %s of them are added: prompt and words of a slide have room for %s together.',
          most, added, most - added
        );
  end if;
end
$$;
comment on function carousel_private.require_room_in_prompt(public.image_generation_jobs)
  is 'Refuses a job whose longest prompt, as the worker composes it, is longer than the provider takes.';
revoke execute on function carousel_private.require_room_in_prompt(public.image_generation_jobs) from public;

create function carousel_private.ending_of(
  total integer, shown integer, started_at timestamptz, completed bigint, failed bigint, image_code text, image_words text,
  cancelled boolean, code text, words text, out status text, out progress integer, out message text, out failed_images bigint,
  out error_code text, out error_message text
)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  status := case when completed = total then 'completed' when cancelled then 'cancelled' when completed > 0 then 'partial' else 'failed' end;
  progress := case status when 'completed' then 100 else least(99, shown) end;
  failed_images := failed;
  if status in ('partial', 'failed') then
    -- What was not made has failed with the job.
    failed_images := total - completed;
    error_code := coalesce(code, image_code, 'internal');
    error_message := coalesce(words, image_words);
  end if;
  message := case status
    when 'completed' then format('%s images are ready', completed)
    when 'partial' then format('%s of %s images are ready', completed, total)
    when 'failed' then coalesce(error_message, 'No image could be made')
    else case when started_at is null then 'Cancelled before it started' else format('Cancelled with %s of %s images ready', completed, total) end
  end;
end
$$;
comment on function carousel_private.ending_of(integer, integer, timestamptz, bigint, bigint, text, text, boolean, text, text)
  is 'How a job ends whose images are so many, and in what words: cancelled by its owner, or with the code and the words of what ended it as a whole.';
revoke execute on function carousel_private.ending_of(integer, integer, timestamptz, bigint, bigint, text, text, boolean, text, text) from public;
grant execute on function carousel_private.ending_of(integer, integer, timestamptz, bigint, bigint, text, text, boolean, text, text) to carousel_worker;

create trigger require_few_words before insert on public.image_generation_jobs
  for each row execute function carousel_private.require_few_words();
