-- What Realtime tells: the publication of the rows, and a private channel for each person.

do $$
declare
  member text;
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  foreach member in array array['image_generation_jobs', 'generated_carousel_images', 'image_generation_templates'] loop
    if not exists (
      select from pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = member
    ) then
      execute format('alter publication supabase_realtime add table public.%I', member);
    end if;
  end loop;
end
$$;

-- One message for the rows of a statement, person and 25 rows: each message is a row of realtime.messages and a subtransaction, and projects
-- have a limit of messages a second. 25 rows with the longest texts are far below the 256 kB that a message may have.
create function carousel_private.broadcast_jobs() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set TimeZone = 'UTC'
set lock_timeout = '1s'
as $$
begin
  perform realtime.send(jsonb_build_object('rows', message.rows), 'job', 'carousel:' || message.user_id, true)
    from (
      select part.user_id, jsonb_agg(part.told) as rows
      from (
        select
          changed.user_id,
          (row_number() over (partition by changed.user_id) - 1) / 25 as number,
          case tg_op
            when 'DELETE' then jsonb_build_object('id', changed.id, 'deleted', true)
            else jsonb_build_object(
              'id', changed.id, 'template_id', changed.template_id, 'batch_id', changed.batch_id, 'title', changed.title,
              'status', changed.status, 'stage', changed.stage, 'progress', changed.progress, 'message', left(changed.message, 500),
              'total_images', changed.total_images, 'completed_images', changed.completed_images, 'failed_images', changed.failed_images,
              'attempt', changed.attempt, 'error_code', changed.error_code, 'error_message', left(changed.error_message, 500),
              'cost_usd', changed.cost_usd, 'run_at', changed.run_at, 'cancel_requested_at', changed.cancel_requested_at,
              'retry_requested_at', changed.retry_requested_at, 'started_at', changed.started_at, 'finished_at', changed.finished_at,
              'created_at', changed.created_at, 'updated_at', changed.updated_at
            )
          end as told
        from changed
      ) as part
      group by part.user_id, part.number
    ) as message;
  return null;
exception when others then
  raise warning 'changes are not broadcast: %', sqlerrm;
  return null;
end
$$;
comment on function carousel_private.broadcast_jobs()
  is 'Tells the owners of jobs what became of them, on their own channels.';
revoke execute on function carousel_private.broadcast_jobs() from public;

create function carousel_private.broadcast_images() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set TimeZone = 'UTC'
set lock_timeout = '1s'
as $$
begin
  perform realtime.send(jsonb_build_object('rows', message.rows), 'image', 'carousel:' || message.user_id, true)
    from (
      select part.user_id, jsonb_agg(part.told) as rows
      from (
        select
          changed.user_id,
          (row_number() over (partition by changed.user_id) - 1) / 25 as number,
          case tg_op
            when 'DELETE' then jsonb_build_object('id', changed.id, 'job_id', changed.job_id, 'deleted', true)
            -- There is no more to say of it, and a job may add a hundred at once.
            when 'INSERT' then jsonb_build_object(
              'id', changed.id, 'job_id', changed.job_id, 'carousel_id', changed.carousel_id, 'variant', changed.variant,
              'slide', changed.slide, 'aspect_ratio', changed.aspect_ratio, 'status', changed.status, 'updated_at', changed.updated_at
            )
            else jsonb_build_object(
              'id', changed.id, 'job_id', changed.job_id, 'carousel_id', changed.carousel_id, 'variant', changed.variant,
              'slide', changed.slide, 'aspect_ratio', changed.aspect_ratio, 'status', changed.status,
              'storage_path', changed.storage_path, 'preview_path', changed.preview_path, 'thumbhash', changed.thumbhash,
              'width', changed.width, 'height', changed.height, 'bytes', changed.bytes, 'mime_type', changed.mime_type,
              'sha256', changed.sha256, 'model', changed.model, 'quality', changed.quality, 'usage', changed.usage,
              'duration_ms', changed.duration_ms, 'cost_usd', changed.cost_usd, 'error_code', changed.error_code, 'error_message', left(changed.error_message, 500),
              'is_favorite', changed.is_favorite, 'created_at', changed.created_at, 'completed_at', changed.completed_at,
              'updated_at', changed.updated_at
            )
          end as told
        from changed
      ) as part
      group by part.user_id, part.number
    ) as message;
  return null;
exception when others then
  raise warning 'changes are not broadcast: %', sqlerrm;
  return null;
end
$$;
comment on function carousel_private.broadcast_images()
  is 'Tells the owners of images what became of them, on their own channels.';
revoke execute on function carousel_private.broadcast_images() from public;

create function carousel_private.set_up_broadcasts() returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regclass('realtime.messages') is null or to_regprocedure('realtime.topic()') is null
    or to_regprocedure('realtime.send(jsonb,text,text,boolean)') is null
  then
    return false;
  end if;

  if not exists (
    select from pg_catalog.pg_policies
    where schemaname = 'realtime' and tablename = 'messages' and policyname = 'carousel: people hear their own channel'
  ) then
    create policy "carousel: people hear their own channel" on realtime.messages
      for select to authenticated
      using (extension = 'broadcast' and (select realtime.topic()) = 'carousel:' || (select auth.uid())::text);
  end if;
  -- An app's own policy may let everybody into every channel. These two say nothing of any other channel than ours.
  if not exists (
    select from pg_catalog.pg_policies
    where schemaname = 'realtime' and tablename = 'messages' and policyname = 'carousel: nobody hears another''s channel'
  ) then
    create policy "carousel: nobody hears another's channel" on realtime.messages
      as restrictive for select to anon, authenticated
      using (
        not coalesce((select realtime.topic()) ~ '^carousel:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', false)
        or (extension = 'broadcast' and coalesce((select realtime.topic()) = 'carousel:' || (select auth.uid())::text, false))
      );
  end if;
  if not exists (
    select from pg_catalog.pg_policies
    where schemaname = 'realtime' and tablename = 'messages' and policyname = 'carousel: the database alone sends'
  ) then
    create policy "carousel: the database alone sends" on realtime.messages
      as restrictive for insert to anon, authenticated
      with check (not coalesce((select realtime.topic()) ~ '^carousel:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', false));
  end if;

  create or replace trigger broadcast_added after insert on public.image_generation_jobs
    referencing new table as changed for each statement execute function carousel_private.broadcast_jobs();
  create or replace trigger broadcast_changed after update on public.image_generation_jobs
    referencing new table as changed for each statement execute function carousel_private.broadcast_jobs();
  create or replace trigger broadcast_deleted after delete on public.image_generation_jobs
    referencing old table as changed for each statement execute function carousel_private.broadcast_jobs();
  create or replace trigger broadcast_added after insert on public.generated_carousel_images
    referencing new table as changed for each statement execute function carousel_private.broadcast_images();
  create or replace trigger broadcast_changed after update on public.generated_carousel_images
    referencing new table as changed for each statement execute function carousel_private.broadcast_images();
  create or replace trigger broadcast_deleted after delete on public.generated_carousel_images
    referencing old table as changed for each statement execute function carousel_private.broadcast_images();
  return true;
end
$$;
comment on function carousel_private.set_up_broadcasts()
  is 'Makes the policies and triggers of the channels carousel:{user_id}, and says whether Realtime is there for them. Run it again as postgres when Realtime came later.';
revoke execute on function carousel_private.set_up_broadcasts() from public;

-- Who migrates may not be allowed to write policies of Realtime: everything else works without.
do $$
begin
  if not carousel_private.set_up_broadcasts() then
    raise notice 'this project has no Realtime yet: when it has, run select carousel_private.set_up_broadcasts();';
  end if;
exception when insufficient_privilege then
  raise warning 'no private channels for now (%): run select carousel_private.set_up_broadcasts(); as postgres', sqlerrm;
end
$$;
