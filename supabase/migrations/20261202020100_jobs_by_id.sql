-- In a project that was analyzed while it had few jobs, each new one read all of its owner's: the look for a job of the same id took the index of
-- owners.

create or replace function carousel_private.prepare_job() returns trigger
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

insert into carousel_private.migrations (version, name) values ('20261202020100', 'jobs_by_id');
