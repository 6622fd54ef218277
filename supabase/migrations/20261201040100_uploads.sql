-- What somebody uploads as a source is written down before, so that what no row ever names can go, and in a bucket that the app shares
-- carousel's sources are told from the app's.

select carousel_private.require_free(
  'public.carousel_uploads', 'public.carousel_uploads_pkey', 'public.carousel_uploads_of_user', 'public.carousel_uploads_unnamed'
);

-- Without a foreign key to the user: of an account that is deleted, it tells what to remove.
create table public.carousel_uploads (
  path text primary key,
  user_id uuid not null default auth.uid(),
  is_named boolean not null default false,
  created_at timestamptz not null default now(),
  renewed_at timestamptz not null default now(),
  constraint declared_in_own_sources check (starts_with(path, user_id::text || '/sources/'))
);
create index carousel_uploads_of_user on public.carousel_uploads (user_id, created_at);
create index carousel_uploads_unnamed on public.carousel_uploads (renewed_at) where not is_named;

comment on table public.carousel_uploads is 'Sources, written down before they are uploaded. What no template and no job names after a day is removed from the bucket.';
comment on column public.carousel_uploads.path is 'Object in the bucket generated-carousels, in the owner''s sources.';
comment on column public.carousel_uploads.user_id is 'Owner; filled with the signed-in user.';
comment on column public.carousel_uploads.is_named is 'Whether a template or a job was found to name it. Then it goes when the last of them is deleted.';
comment on column public.carousel_uploads.created_at is 'When it was written down. An object that was there before is not carousel''s, and stays.';
comment on column public.carousel_uploads.renewed_at is 'When it was last written down: its day begins anew.';

alter table public.carousel_uploads enable row level security;

create policy "Owners see their uploads" on public.carousel_uploads
  for select to authenticated using (user_id = (select auth.uid()));
create policy "Owners write their uploads down" on public.carousel_uploads
  for insert to authenticated with check (user_id = (select auth.uid()));
create policy "The worker sees every upload" on public.carousel_uploads
  for select to carousel_worker using (true);
create policy "The worker forgets uploads that are gone" on public.carousel_uploads
  for delete to carousel_worker using (true);

revoke all on public.carousel_uploads from public, anon, authenticated, service_role;
grant select on public.carousel_uploads to authenticated;
grant insert (path) on public.carousel_uploads to authenticated;
grant select, insert, update, delete on public.carousel_uploads to service_role;
grant select, delete on public.carousel_uploads to carousel_worker;

create function carousel_private.declare_upload() returns trigger
language plpgsql
security definer
set search_path = ''
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
comment on function carousel_private.declare_upload() is 'Refuses foreign paths, and lets the day of an upload that was written down before begin anew.';
revoke execute on function carousel_private.declare_upload() from public;

create function carousel_private.keep_declared_upload() returns trigger
language plpgsql
security definer
set search_path = ''
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
comment on function carousel_private.keep_declared_upload() is 'Keeps a source that was to go once it is written down again; refuses one that is on its way out.';
revoke execute on function carousel_private.keep_declared_upload() from public;

create function carousel_private.bound_uploads() returns trigger
language plpgsql
security definer
set search_path = ''
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
comment on function carousel_private.bound_uploads() is 'Refuses more than 5000 new uploads of one user in a day.';
revoke execute on function carousel_private.bound_uploads() from public;

create trigger declare_upload before insert on public.carousel_uploads
  for each row execute function carousel_private.declare_upload();
create trigger keep_declared_upload after insert or update on public.carousel_uploads
  for each row when (not new.is_named) execute function carousel_private.keep_declared_upload();
create trigger bound_uploads after insert on public.carousel_uploads
  referencing new table as added for each statement execute function carousel_private.bound_uploads();

create function carousel_private.sweep_uploads(older_than interval) returns integer
language plpgsql
security definer
set search_path = ''
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
comment on function carousel_private.sweep_uploads(interval) is 'Writes down, for the worker to delete, the uploads that no row has ever named.';
revoke execute on function carousel_private.sweep_uploads(interval) from public;

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
  -- A call is over in an hour; a person who has uploaded takes a day.
  return carousel_private.sweep_calls(older_than) + carousel_private.sweep_uploads(24 * older_than);
end
$$;

create or replace function carousel_private.is_source_kept(source text, since timestamptz) returns boolean
language plpgsql
volatile
security definer
set search_path = ''
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
