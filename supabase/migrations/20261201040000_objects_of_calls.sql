-- What a worker puts into the bucket is written down before it is made, with the call that pays for it. The sweep looks at nothing else:
-- what somebody else has put there is theirs.

alter table carousel_private.provider_calls add column object_name text;
alter table carousel_private.provider_calls add column previews integer;
comment on column carousel_private.provider_calls.object_name is 'Name of the picture in {user_id}/jobs/{job_id}/, chosen before the call; null for calls of earlier versions.';
comment on column carousel_private.provider_calls.previews is 'How many previews it may put beside the picture.';

create table carousel_private.swept_calls (
  is_only boolean primary key default true,
  until timestamptz not null default now(),
  constraint one_row check (is_only)
);
comment on table carousel_private.swept_calls is 'How far the sweep has looked at the calls, in one row.';
comment on column carousel_private.swept_calls.is_only is 'Always true.';
comment on column carousel_private.swept_calls.until is 'Of the calls begun before this time no object is without a row or on its way out.';
insert into carousel_private.swept_calls default values;

-- What earlier versions took for leftovers and have not removed yet. It may be the app's own.
delete from carousel_private.storage_cleanup where reason in ('account deleted', 'no row');

create function carousel_private.sweep_calls(older_than interval) returns integer
language plpgsql
security definer
set search_path = ''
as $$
declare
  since constant timestamptz := (select until from carousel_private.swept_calls);
  upto constant timestamptz := greatest(since, now() - older_than);
  found_objects integer;
begin
  with begun as materialized (
    select call.*,
      -- Its worker may still be at it.
      call.finished_at is null and exists (
        select from carousel_private.leases lease
        where (lease.job_id, lease.worker_id, lease.attempt) = (call.job_id, call.worker_id, call.attempt)
      ) as is_open
    from carousel_private.provider_calls call
    where call.started_at >= since and call.started_at < upto and call.object_name is not null
  ),
  written as (
    insert into carousel_private.storage_cleanup (path, reason)
    select object.path, 'no row'
    from begun
    cross join lateral (
      select format('%s/jobs/%s/%s', begun.user_id, begun.job_id, case number
        when 0 then begun.object_name
        else regexp_replace(begun.object_name, '\.', format('-preview-%s.', number))
      end) as path
      from generate_series(0, begun.previews) as number
    ) as object
    where not begun.is_open
      and not exists (
        select from public.generated_carousel_images image
        where image.id = begun.image_id and object.path in (image.storage_path, image.preview_path)
      )
      and exists (select from storage.objects stored where stored.bucket_id = 'generated-carousels' and stored.name = object.path)
      and not exists (select from carousel_private.storage_cleanup waiting where waiting.path = object.path)
    returning id
  ),
  swept as (
    update carousel_private.swept_calls set until = coalesce((select min(started_at) from begun where is_open), upto)
  )
  select count(*) into found_objects from written;
  return found_objects;
end
$$;
comment on function carousel_private.sweep_calls(interval) is 'Writes down, for the worker to delete, the objects of calls that are over which no row names.';
revoke execute on function carousel_private.sweep_calls(interval) from public;

create or replace function carousel_private.sweep_objects(older_than interval) returns integer
language plpgsql
security definer
set search_path = ''
as $$
begin
  -- One sweep at a time is enough.
  if not pg_try_advisory_xact_lock(hashtextextended('carousel sweep', 0)) then
    return 0;
  end if;
  return carousel_private.sweep_calls(older_than);
end
$$;
comment on function carousel_private.sweep_objects(interval) is 'Writes down, for the worker to delete, what carousel has written down as its own and no row names. It looks at no other object.';

-- An account's rows go with it, and say by themselves what was theirs. In a bucket that the app shares, a source may be the app's.
create or replace function carousel_private.clean_up_sources() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  -- Not at once: a page that still shows the sources may be about to use them again.
  insert into carousel_private.storage_cleanup (path, reason, due_at)
    select path, tg_argv[0], now() + interval '1 hour'
    from (
      select removed.user_id, path
        from removed cross join unnest(removed.source_paths) as path
        where starts_with(path, removed.user_id::text || '/sources/')
      except
      select template.user_id, path
        from public.image_generation_templates template cross join unnest(template.source_paths) as path
        where template.user_id in (select user_id from removed)
      except
      select job.user_id, path
        from public.image_generation_jobs job cross join unnest(job.source_paths) as path
        where job.user_id in (select user_id from removed)
    ) as unnamed
    where not exists (select from carousel_private.shared_bucket);
  return null;
end
$$;
