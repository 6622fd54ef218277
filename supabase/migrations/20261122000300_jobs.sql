-- What a client asks for and how far it has come.

-- A template fills what the client leaves out, so "left out" must be visible to the trigger although the columns end up not null.
-- `nullif('', '')` is a default that evaluates to null: it makes the column optional in generated types, where no default would not.
create table public.image_generation_jobs (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  template_id uuid references public.image_generation_templates (id) on delete set null,
  template_version integer,
  batch_id uuid,
  title text,
  prompt text not null default nullif('', ''),
  slide_prompts text[] not null default nullif('', '')::text[],
  source_paths text[] not null default nullif('', '')::text[],
  aspect_ratios text[] not null default nullif('', '')::text[],
  variants integer not null default nullif(1, 1),
  style jsonb not null default nullif('', '')::jsonb,
  variables jsonb not null default '{}',
  model text,
  quality text,
  output_format text,
  background text,
  partial_previews integer not null default 0,
  priority integer not null default 0,
  run_at timestamptz not null default now(),
  idempotency_key text,
  status text not null default 'pending',
  stage text not null default 'queued',
  progress integer not null default 0,
  message text,
  total_images integer not null default nullif(1, 1),
  completed_images integer not null default 0,
  failed_images integer not null default 0,
  attempt integer not null default 0,
  error_code text,
  error_message text,
  cost_usd numeric(12, 6) not null default 0,
  usage jsonb,
  cancel_requested_at timestamptz,
  retry_requested_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  -- what was asked for
  constraint title_at_most_200_characters check (char_length(title) <= 200),
  constraint prompt_at_most_32000_characters check (char_length(prompt) <= 32000),
  constraint prompt_or_slide_prompts_given check (prompt ~ '\S' or cardinality(slide_prompts) > 0),
  constraint slide_prompts_at_most_100 check (cardinality(slide_prompts) <= 100),
  constraint source_paths_1_to_16 check (cardinality(source_paths) between 1 and 16),
  constraint aspect_ratios_known_and_distinct check (
    -- Distinct: as many elements as known ratios among them. A null element makes the sum null, and a check passes null.
    cardinality(aspect_ratios) between 1 and 5
    and coalesce(
      cardinality(aspect_ratios) = ('1:1' = any (aspect_ratios))::integer + ('4:5' = any (aspect_ratios))::integer
        + ('9:16' = any (aspect_ratios))::integer + ('3:4' = any (aspect_ratios))::integer + ('16:9' = any (aspect_ratios))::integer,
      false
    )
  ),
  constraint variants_between_1_and_10 check (variants between 1 and 10),
  constraint style_is_a_small_object check (jsonb_typeof(style) = 'object' and octet_length(style::text) <= 8192),
  -- What programs without bignums and with a stack can read.
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
  -- PostgreSQL takes lists of lists for the same type.
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
  -- Arithmetic with infinity fails.
  constraint run_at_finite check (isfinite(run_at)),
  constraint idempotency_key_1_to_200_characters check (char_length(idempotency_key) between 1 and 200),
  constraint total_images_is_what_was_asked_for check (
    total_images = variants * greatest(1, cardinality(slide_prompts)) * cardinality(aspect_ratios)
  ),
  constraint total_images_at_most_100 check (total_images <= 100),

  -- the state machine
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
  constraint cost_not_negative check (cost_usd >= 0)
)
-- Progress writes touch no indexed column; room on the page keeps them heap-only.
with (fillfactor = 70);

create index image_generation_jobs_of_user on public.image_generation_jobs (user_id, created_at desc, id desc);
create index image_generation_jobs_of_template on public.image_generation_jobs (template_id) where template_id is not null;
create index image_generation_jobs_of_batch on public.image_generation_jobs (batch_id) where batch_id is not null;
-- Whole, not partial: an upsert can name its columns only then.
create unique index image_generation_jobs_idempotency_key on public.image_generation_jobs (user_id, idempotency_key);

comment on table public.image_generation_jobs is 'Requests for carousels. A client inserts a row; the worker writes status, progress and outcome.';
comment on column public.image_generation_jobs.id is 'Primary key; a client may choose it.';
comment on column public.image_generation_jobs.user_id is 'Owner; filled with the signed-in user.';
comment on column public.image_generation_jobs.template_id is 'Template the job was made from, or the one that it made. What the job leaves out is taken from it.';
comment on column public.image_generation_jobs.template_version is 'Version of the template that the job was made with.';
comment on column public.image_generation_jobs.batch_id is 'Groups jobs that were sent together.';
comment on column public.image_generation_jobs.title is 'What lists show, at most 200 characters.';
comment on column public.image_generation_jobs.prompt is 'What to make of the sources, at most 32000 characters. Its variables are filled in at insert.';
comment on column public.image_generation_jobs.slide_prompts is 'One text a slide, added to the prompt; empty for a single slide.';
comment on column public.image_generation_jobs.source_paths is 'Objects in the bucket generated-carousels, 1 to 16, all in the owner''s folder.';
comment on column public.image_generation_jobs.aspect_ratios is 'Ratios to make: 1:1, 4:5, 9:16, 3:4, 16:9.';
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

alter table public.image_generation_jobs enable row level security;

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

revoke all on public.image_generation_jobs from public, anon, authenticated, service_role;
grant select, delete on public.image_generation_jobs to authenticated;
grant insert (
  id, template_id, batch_id, title, prompt, slide_prompts, source_paths, aspect_ratios, variants, style, variables, model,
  quality, output_format, background, partial_previews, priority, run_at, idempotency_key
) on public.image_generation_jobs to authenticated;
grant update (title, cancel_requested_at, retry_requested_at) on public.image_generation_jobs to authenticated;
grant select, insert, update, delete on public.image_generation_jobs to service_role;
grant select on public.image_generation_jobs to carousel_worker;
grant update (
  status, stage, progress, message, completed_images, failed_images, attempt, error_code, error_message, cost_usd, usage,
  run_at, started_at, finished_at
) on public.image_generation_jobs to carousel_worker;
