-- Each message of a statement went by a call and a subtransaction of its own, a twentieth of what a job cost PostgreSQL. Now all of a statement go by one.

create or replace function carousel_private.broadcast_jobs() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- Clients compare times as texts.
set timezone = 'UTC'
-- A broadcast is a hint: it neither fails nor holds up what it tells of.
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

create or replace function carousel_private.broadcast_images() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
-- A broadcast is a hint: it neither fails nor holds up what it tells of.
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

drop function carousel_private.broadcast_rows(uuid, text, jsonb);

insert into carousel_private.migrations (version, name) values ('20261202070100', 'broadcasts_at_once');
