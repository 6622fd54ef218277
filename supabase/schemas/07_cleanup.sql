-- Clean-up: objects that are to leave the bucket, and the uploads that were written down.

create table carousel_private.storage_cleanup (
  id bigint generated always as identity not null,
  path text not null,
  reason text not null,
  attempts integer default 0 not null,
  due_at timestamptz default now() not null,
  created_at timestamptz default now() not null,
  constraint storage_cleanup_pkey primary key (id)
);
comment on table carousel_private.storage_cleanup is 'Objects of the bucket whose rows are gone. The worker deletes them through the Storage API.';
comment on column carousel_private.storage_cleanup.id is 'Primary key.';
comment on column carousel_private.storage_cleanup.path is 'Object in the bucket generated-carousels.';
comment on column carousel_private.storage_cleanup.reason is 'Why it is to go.';
comment on column carousel_private.storage_cleanup.attempts is 'How often its removal was begun.';
comment on column carousel_private.storage_cleanup.due_at is 'Not before this time.';
comment on column carousel_private.storage_cleanup.created_at is 'When its row went.';

create index storage_cleanup_by_due_time on carousel_private.storage_cleanup (due_at);
create index storage_cleanup_by_path on carousel_private.storage_cleanup (path);

grant select, insert, update, delete on carousel_private.storage_cleanup to carousel_worker;

create table carousel_private.swept_calls (
  is_only boolean default true not null,
  until timestamptz default now() not null,
  constraint swept_calls_pkey primary key (is_only),
  constraint one_row check (is_only)
);
comment on table carousel_private.swept_calls is 'How far the sweep has looked at the calls, in one row.';
comment on column carousel_private.swept_calls.is_only is 'Always true.';
comment on column carousel_private.swept_calls.until is 'Of the calls begun before this time no object is without a row or on its way out.';

-- Without a foreign key to the user: of an account that is deleted, it tells what to remove.
create table public.carousel_uploads (
  path text not null,
  user_id uuid default auth.uid() not null,
  is_named boolean default false not null,
  created_at timestamptz default now() not null,
  renewed_at timestamptz default now() not null,
  constraint carousel_uploads_pkey primary key (path),
  constraint declared_in_own_sources check (starts_with(path, user_id::text || '/sources/'))
);
alter table public.carousel_uploads enable row level security;
comment on table public.carousel_uploads is 'Sources, written down before they are uploaded. What no template and no job names after a day is removed from the bucket.';
comment on column public.carousel_uploads.path is 'Object in the bucket generated-carousels, in the owner''s sources.';
comment on column public.carousel_uploads.user_id is 'Owner; filled with the signed-in user.';
comment on column public.carousel_uploads.is_named is 'Whether a template or a job was found to name it. Then it goes when the last of them is deleted.';
comment on column public.carousel_uploads.created_at is 'When it was written down. An object that was there before is not carousel''s, and stays.';
comment on column public.carousel_uploads.renewed_at is 'When it was last written down: its day begins anew.';

create index carousel_uploads_of_user on public.carousel_uploads (user_id, created_at);
create index carousel_uploads_unnamed on public.carousel_uploads (renewed_at) where not is_named;

revoke all on public.carousel_uploads from public, anon, authenticated, service_role;
grant select on public.carousel_uploads to authenticated;
grant select, insert, update, delete on public.carousel_uploads to service_role;
grant select, delete on public.carousel_uploads to carousel_worker;
grant insert (
  path, user_id
) on public.carousel_uploads to authenticated;

create policy "Owners see their uploads" on public.carousel_uploads
  for select to authenticated using (user_id = (select auth.uid()));
create policy "Owners write their uploads down" on public.carousel_uploads
  for insert to authenticated with check (user_id = (select auth.uid()));
create policy "The worker sees every upload" on public.carousel_uploads
  for select to carousel_worker using (true);
create policy "The worker forgets uploads that are gone" on public.carousel_uploads
  for delete to carousel_worker using (true);

create function carousel_private.clean_up_deleted_image() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Carousel's own objects lie in /jobs/, and only what was carried over lies elsewhere. With an account its old rows go as well.
  is_kept constant boolean := to_regclass('public.generated_carousel_images_before_carousel') is not null
    and not starts_with(old.storage_path, old.user_id::text || '/jobs/')
    and exists (select from auth.users where id = old.user_id);
begin
  insert into carousel_private.storage_cleanup (path, reason, due_at)
    select path, 'image deleted', case when is_kept then 'infinity' else now() end
    from unnest(array[old.storage_path, old.preview_path]) as path
    where path is not null;
  return null;
end
$$;
comment on function carousel_private.clean_up_deleted_image()
  is 'Writes down the objects of a deleted image. What a table from before carousel names as well waits for the end of that table, or of the account.';
revoke execute on function carousel_private.clean_up_deleted_image() from public;
create trigger clean_up_deleted_image after delete on public.generated_carousel_images
  for each row execute function carousel_private.clean_up_deleted_image();

create function carousel_private.clean_up_replaced_preview() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into carousel_private.storage_cleanup (path, reason) values (old.preview_path, 'preview replaced');
  return null;
end
$$;
comment on function carousel_private.clean_up_replaced_preview()
  is 'Writes down a preview that a later one, or the image itself, has replaced.';
revoke execute on function carousel_private.clean_up_replaced_preview() from public;
create trigger clean_up_replaced_preview after update of preview_path on public.generated_carousel_images
  for each row when (old.preview_path is not null and old.preview_path is distinct from new.preview_path)
  execute function carousel_private.clean_up_replaced_preview();

-- An account's rows go with it, and say by themselves what was theirs. In a bucket that the app shares, a source may be the app's.
create function carousel_private.clean_up_sources() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
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
    -- In a bucket that the app shares, what was not written down before it was made is the app's.
    where not exists (select from carousel_private.shared_bucket)
      or exists (
        select from public.carousel_uploads upload
        join storage.objects object on object.bucket_id = 'generated-carousels' and object.name = upload.path
        where upload.path = unnamed.path and object.created_at >= upload.created_at
      );
  return null;
end
$$;
comment on function carousel_private.clean_up_sources()
  is 'Writes down the sources of deleted rows that no other template or job of their owner names.';
revoke execute on function carousel_private.clean_up_sources() from public;
create trigger clean_up_sources after delete on public.image_generation_templates
  referencing old table as removed for each statement execute function carousel_private.clean_up_sources('template deleted');
create trigger clean_up_sources after delete on public.image_generation_jobs
  referencing old table as removed for each statement execute function carousel_private.clean_up_sources('job deleted');

create function carousel_private.is_source_kept(source text, since timestamptz) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  owner uuid;
begin
  if source !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/sources/' then
    return false;
  end if;
  owner := split_part(source, '/', 1);
  return exists (select from public.image_generation_templates where user_id = owner and source = any (source_paths))
    or exists (select from public.image_generation_jobs where user_id = owner and source = any (source_paths))
    or exists (select from public.carousel_uploads where path = source and renewed_at > since)
    or exists (
      select from storage.objects object
      where object.bucket_id = 'generated-carousels' and object.name = source
        and greatest(object.created_at, object.updated_at) > since
    );
end
$$;
comment on function carousel_private.is_source_kept(text, timestamptz)
  is 'Whether a source that was to go since then stays after all: a row names it again, or it was uploaded or written down anew. False for any other object.';
revoke execute on function carousel_private.is_source_kept(text, timestamptz) from public;
grant execute on function carousel_private.is_source_kept(text, timestamptz) to carousel_worker;

create function carousel_private.keep_named_sources() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Until this transaction ends, no removal of these begins, and after it the row is there that keeps them.
  perform from carousel_private.storage_cleanup where path = any (new.source_paths) for share;
  if found and exists (select from carousel_private.storage_cleanup where path = any (new.source_paths) and attempts > 0) then
    raise exception 'a source of this row is being removed'
      using errcode = '23514', detail = 'source_being_removed',
        hint = 'The last template or job with it was deleted: upload it again, under a new name.';
  end if;
  return null;
end
$$;
comment on function carousel_private.keep_named_sources()
  is 'Keeps sources that are to go once a row names them again; refuses those that are on their way out.';
revoke execute on function carousel_private.keep_named_sources() from public;
create trigger keep_named_sources after insert or update of source_paths on public.image_generation_templates
  for each row execute function carousel_private.keep_named_sources();
create trigger keep_named_sources after insert on public.image_generation_jobs
  for each row execute function carousel_private.keep_named_sources();

create function carousel_private.sweep_objects(older_than interval) returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- One sweep at a time is enough.
  if not pg_try_advisory_xact_lock(hashtextextended('carousel sweep', 0)) then
    return 0;
  end if;
  update carousel_private.storage_cleanup waiting set due_at = now()
    where due_at = 'infinity'
      and (to_regclass('public.generated_carousel_images_before_carousel') is null
        or not exists (select from auth.users owner where owner.id::text = split_part(waiting.path, '/', 1)));
  -- A call is over in an hour; a person who has uploaded takes a day.
  return carousel_private.sweep_calls(older_than) + carousel_private.sweep_uploads(24 * older_than);
end
$$;
comment on function carousel_private.sweep_objects(interval)
  is 'Writes down, for the worker to delete, what carousel has written down as its own and no row names. It looks at no other object.';
revoke execute on function carousel_private.sweep_objects(interval) from public;
grant execute on function carousel_private.sweep_objects(interval) to carousel_worker;

create function carousel_private.sweep_calls(older_than interval) returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
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
comment on function carousel_private.sweep_calls(interval)
  is 'Writes down, for the worker to delete, the objects of calls that are over which no row names.';
revoke execute on function carousel_private.sweep_calls(interval) from public;

create function carousel_private.declare_upload() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.user_id is null then
    raise exception 'the upload has no user'
      using errcode = '23502', detail = 'user_missing', hint = 'Sign in, or name user_id when you insert with the secret key.';
  end if;
  perform carousel_private.require_own_paths(new.user_id, array[new.path]);
  -- Not the time of the transaction: it may have waited for a sweep that began later.
  new.created_at := clock_timestamp();
  new.renewed_at := new.created_at;
  new.is_named := false;
  -- Written down before: its day begins anew. A sweep that looks at it is waited for.
  update public.carousel_uploads set renewed_at = clock_timestamp(), is_named = false where path = new.path and user_id = new.user_id;
  if found then
    new := null;
  end if;
  return new;
end
$$;
comment on function carousel_private.declare_upload()
  is 'Refuses foreign paths, and lets the day of an upload that was written down before begin anew.';
revoke execute on function carousel_private.declare_upload() from public;
create trigger declare_upload before insert on public.carousel_uploads
  for each row execute function carousel_private.declare_upload();

create function carousel_private.keep_declared_upload() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- As for a row that names it: until this transaction ends no removal begins, and after it the declaration is there that keeps it.
  perform from carousel_private.storage_cleanup where path = new.path for share;
  if found and exists (select from carousel_private.storage_cleanup where path = new.path and attempts > 0) then
    raise exception 'what had this path is being removed'
      using errcode = '23514', detail = 'source_being_removed', hint = 'Upload it under a new name.';
  end if;
  return null;
end
$$;
comment on function carousel_private.keep_declared_upload()
  is 'Keeps a source that was to go once it is written down again; refuses one that is on its way out.';
revoke execute on function carousel_private.keep_declared_upload() from public;
create trigger keep_declared_upload after insert or update on public.carousel_uploads
  for each row when (not new.is_named) execute function carousel_private.keep_declared_upload();

create function carousel_private.bound_uploads() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  most constant integer := 5000;
begin
  if exists (
    select from (select distinct user_id from added) as owner
    where most < (
      select count(*) from (
        select from public.carousel_uploads upload
        where upload.user_id = owner.user_id and upload.created_at > now() - interval '1 day'
        limit most + 1
      ) as today
    )
  ) then
    raise exception 'more than % uploads were written down in a day', most
      using errcode = 'PT429', detail = 'too_many_uploads', hint = 'Wait until tomorrow.';
  end if;
  return null;
end
$$;
comment on function carousel_private.bound_uploads()
  is 'Refuses more than 5000 new uploads of one user in a day.';
revoke execute on function carousel_private.bound_uploads() from public;
create trigger bound_uploads after insert on public.carousel_uploads
  referencing new table as added for each statement execute function carousel_private.bound_uploads();

create function carousel_private.sweep_uploads(older_than interval) returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_hashjoin = on
set enable_sort = on
as $$
declare
  found_objects integer;
begin
  with old as materialized (
    select path, user_id, created_at
    from public.carousel_uploads
    where not is_named and renewed_at < now() - older_than
    order by renewed_at
    limit 10000
    for update skip locked
  ),
  -- Once for each owner, however many uploads there are.
  named as materialized (
    select path from public.image_generation_templates template cross join unnest(template.source_paths) as path
      where template.user_id in (select user_id from old)
    union
    select path from public.image_generation_jobs job cross join unnest(job.source_paths) as path
      where job.user_id in (select user_id from old)
  ),
  judged as materialized (
    select old.path, old.path in (select path from named) as is_named, (
      select greatest(object.created_at, object.updated_at)
      from storage.objects object
      where object.bucket_id = 'generated-carousels' and object.name = old.path and object.created_at >= old.created_at
    ) as stored_at
    from old
  ),
  kept as (
    update public.carousel_uploads upload set is_named = true from judged where upload.path = judged.path and judged.is_named
  ),
  -- It never came, or its owner has removed it; or something else had this path before.
  forgotten as (
    delete from public.carousel_uploads upload using judged
    where upload.path = judged.path and not judged.is_named and judged.stored_at is null
  ),
  written as (
    insert into carousel_private.storage_cleanup (path, reason)
    select path, 'upload never named' from judged
    where not is_named and stored_at < now() - older_than
      and not exists (select from carousel_private.storage_cleanup waiting where waiting.path = judged.path)
    returning id
  )
  select count(*) into found_objects from written;
  return found_objects;
end
$$;
comment on function carousel_private.sweep_uploads(interval)
  is 'Writes down, for the worker to delete, the uploads that no row has ever named.';
revoke execute on function carousel_private.sweep_uploads(interval) from public;

create trigger admit_owner before insert on public.carousel_uploads
  for each row execute function carousel_private.admit_owner();

insert into carousel_private.swept_calls default values;
