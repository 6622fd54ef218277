-- Who asks for a job whose row is just being deleted, or for a job once more, is held to the same limits.

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
  perform from public.image_generation_jobs where id = new.id and user_id = new.user_id for key share;
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

create or replace function carousel_private.change_job() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  all_made boolean;
begin
  -- Not the time of the transaction: one that waited for another would seem to be the earlier.
  new.updated_at := clock_timestamp();

  if new.retry_requested_at is distinct from old.retry_requested_at and new.status = old.status then
    if old.status in ('partial', 'failed', 'cancelled') and new.retry_requested_at is not null then
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
    if old.status = 'pending' and new.cancel_requested_at is not null then
      -- A job that was interrupted has made some of its images, or all of them.
      select completed, failed, cost_usd, usage into new.completed_images, new.failed_images, new.cost_usd, new.usage
        from carousel_private.count_images(array[new.id]);
      all_made := new.completed_images = new.total_images;
      new.cancel_requested_at := now();
      new.status := case when all_made then 'completed' else 'cancelled' end;
      new.stage := 'finished';
      new.progress := case when all_made then 100 else new.progress end;
      new.finished_at := now();
      new.message := case
        when all_made then format('%s images are ready', new.completed_images)
        when new.started_at is null then 'Cancelled before it started'
        else format('Cancelled with %s of %s images ready', new.completed_images, new.total_images)
      end;
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

  if new.status <> old.status and (old.status, new.status) not in (
    ('pending', 'processing'), ('pending', 'completed'), ('pending', 'partial'), ('pending', 'failed'), ('pending', 'cancelled'),
    ('processing', 'pending'), ('processing', 'completed'), ('processing', 'partial'), ('processing', 'failed'), ('processing', 'cancelled'),
    ('partial', 'pending'), ('failed', 'pending'), ('cancelled', 'pending')
  ) then
    raise exception 'a job can''t go from % to %', old.status, new.status
      using errcode = '23514', detail = 'transition_forbidden', hint = 'Set cancel_requested_at or retry_requested_at instead of the status.';
  end if;
  return new;
end
$$;
