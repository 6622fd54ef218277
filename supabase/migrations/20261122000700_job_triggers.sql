-- What happens by itself when a job row comes, changes or goes.

create function carousel_private.use_template_of_sources(
  job public.image_generation_jobs, raw public.image_generation_jobs
) returns public.image_generation_templates
language plpgsql
set search_path = ''
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
      user_id, name, source_paths, prompt, slide_prompts, aspect_ratios, variants, style, variables, use_count, last_used_at
    ) values (
      job.user_id,
      left(coalesce(
        nullif(btrim(job.title, blanks), ''), nullif(btrim(left(btrim(job.prompt, blanks), 60), blanks), ''),
        'Carousel of ' || to_char(now(), 'FMDD Mon YYYY')
      ), 200),
      raw.source_paths, raw.prompt, raw.slide_prompts, raw.aspect_ratios, raw.variants, raw.style, raw.variables, 1, now()
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
set search_path = ''
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
  new.total_images := new.variants * greatest(1, cardinality(new.slide_prompts)) * cardinality(new.aspect_ratios);
  perform carousel_private.require_own_paths(new.user_id, new.source_paths);
  perform carousel_private.require_slide_prompts(new.slide_prompts);

  -- One user's inserts take their turn, so that two at once don't make the same template twice.
  perform pg_advisory_xact_lock(hashtextextended('carousel user ' || new.user_id::text, 0));
  -- A repeated request is about to end at its unique key: it is not another use of its template, nor counted against a limit.
  if exists (select from public.image_generation_jobs where id = new.id)
    or exists (select from public.image_generation_jobs where user_id = new.user_id and idempotency_key = new.idempotency_key)
  then
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
comment on function carousel_private.prepare_job() is 'Fills what the client left out, from the template or by default, and its variables; refuses what is not the client''s or beyond its limits.';
revoke execute on function carousel_private.prepare_job() from public;

create function carousel_private.change_job() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  all_made boolean;
begin
  new.updated_at := now();

  if new.retry_requested_at is distinct from old.retry_requested_at and new.status = old.status then
    if old.status in ('partial', 'failed', 'cancelled') and new.retry_requested_at is not null then
      -- What is made again is asked for again.
      perform carousel_private.require_within_limits(new.id, new.user_id, new.total_images);
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
        from carousel_private.count_images(new.id);
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
      update public.generated_carousel_images set status = 'cancelled'
        where job_id = new.id and status in ('pending', 'generating');
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
    ('pending', 'processing'), ('pending', 'completed'), ('pending', 'cancelled'), ('pending', 'failed'),
    ('processing', 'pending'), ('processing', 'completed'), ('processing', 'partial'), ('processing', 'failed'), ('processing', 'cancelled'),
    ('partial', 'pending'), ('failed', 'pending'), ('cancelled', 'pending')
  ) then
    raise exception 'a job can''t go from % to %', old.status, new.status
      using errcode = '23514', detail = 'transition_forbidden', hint = 'Set cancel_requested_at or retry_requested_at instead of the status.';
  end if;
  return new;
end
$$;
comment on function carousel_private.change_job() is 'Turns requests (cancel, retry) into what they ask for and refuses impossible transitions.';
revoke execute on function carousel_private.change_job() from public;

create function carousel_private.requeue_job() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  if new.status = 'pending' then
    perform carousel_private.enqueue(new.id, new.user_id, new.priority, new.run_at, new.total_images);
    perform pg_notify('carousel_jobs', case when new.run_at > now() then 'scheduled' else '' end);
  else
    delete from carousel_private.queue where job_id = new.id;
  end if;
  return null;
end
$$;
comment on function carousel_private.requeue_job() is 'Keeps the queue to what is pending, and wakes the workers.';
revoke execute on function carousel_private.requeue_job() from public;

create function carousel_private.announce_jobs() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform carousel_private.enqueue(id, user_id, priority, run_at, total_images)
    from (select * from added where status = 'pending' order by user_id, priority desc, created_at, id) as pending;
  -- One notification a statement, however many rows: the worker asks the queue what there is.
  perform pg_notify('carousel_jobs', case when bool_or(run_at > now()) then 'scheduled' else '' end)
    from added where status = 'pending' having count(*) > 0;
  return null;
end
$$;
comment on function carousel_private.announce_jobs() is 'Puts new jobs into the queue and wakes the workers, once a statement.';
revoke execute on function carousel_private.announce_jobs() from public;

create function carousel_private.announce_deleted_jobs() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  delete from carousel_private.queue using removed where queue.job_id = removed.id;
  perform pg_notify('carousel_cancel', id::text) from removed where status = 'processing';
  return null;
end
$$;
comment on function carousel_private.announce_deleted_jobs() is 'Takes deleted jobs out of the queue, and tells the workers that a job they work on is gone.';
revoke execute on function carousel_private.announce_deleted_jobs() from public;

create trigger prepare_job before insert on public.image_generation_jobs
  for each row execute function carousel_private.prepare_job();
create trigger change_job before update on public.image_generation_jobs
  for each row execute function carousel_private.change_job();
create trigger requeue_job after update on public.image_generation_jobs
  for each row
  -- A claim takes its row out of the queue itself.
  when ((new.status = 'pending' and (old.status, old.run_at, old.priority) is distinct from (new.status, new.run_at, new.priority))
    or (old.status = 'pending' and new.status not in ('pending', 'processing')))
  execute function carousel_private.requeue_job();
create trigger announce_jobs after insert on public.image_generation_jobs
  referencing new table as added for each statement execute function carousel_private.announce_jobs();
create trigger announce_deleted_jobs after delete on public.image_generation_jobs
  referencing old table as removed for each statement execute function carousel_private.announce_deleted_jobs();
