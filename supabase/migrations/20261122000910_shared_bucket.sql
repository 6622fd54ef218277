-- A bucket that the app had before, and shares: its settings are the app's. The guard has remembered them, and the bucket's own migration
-- has set them just now.

create table carousel_private.shared_bucket (
  id text primary key default 'generated-carousels',
  public boolean,
  file_size_limit bigint,
  allowed_mime_types text[],
  shared_at timestamptz not null default now(),
  constraint one_bucket check (id = 'generated-carousels')
);
comment on table carousel_private.shared_bucket is 'A row when the app had the bucket before and shares it: its settings are the app''s, and only sources that were written down are removed from it.';
comment on column carousel_private.shared_bucket.id is 'The bucket, generated-carousels.';
comment on column carousel_private.shared_bucket.public is 'Whether it was public when carousel came.';
comment on column carousel_private.shared_bucket.file_size_limit is 'Bytes that a file could have when carousel came.';
comment on column carousel_private.shared_bucket.allowed_mime_types is 'Media types that it took when carousel came.';
comment on column carousel_private.shared_bucket.shared_at is 'When carousel came.';
grant select on carousel_private.shared_bucket to carousel_worker;

do $$
begin
  if to_regclass('carousel_shared_bucket.settings') is not null then
    insert into carousel_private.shared_bucket (id, public, file_size_limit, allowed_mime_types)
      select id, public, file_size_limit, allowed_mime_types from carousel_shared_bucket.settings;
    update storage.buckets bucket
      set public = shared.public, file_size_limit = shared.file_size_limit, allowed_mime_types = shared.allowed_mime_types
      from carousel_private.shared_bucket shared
      where bucket.id = shared.id;
    drop table carousel_shared_bucket.settings;
  end if;
  -- The word was given. Where there was no bucket to share, ours is not shared with anybody.
  if to_regnamespace('carousel_shared_bucket') is not null then
    drop schema carousel_shared_bucket;
  end if;
end
$$;

create function carousel_private.require_free(variadic names text[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  name text;
  found oid;
  taken text[] := '{}';
begin
  foreach name in array names loop
    begin
      found := case when name like '%(%' then to_regprocedure(name)::oid else coalesce(to_regclass(name)::oid, to_regtype(name)::oid) end;
    exception
      -- A type of its arguments is not there, so the function is not either.
      when undefined_object then found := null;
    end;
    if found is not null then
      taken := taken || name;
    end if;
  end loop;
  if cardinality(taken) > 0 then
    raise exception 'nothing was changed: carousel needs names that something else has here: %', array_to_string(taken, ', ')
      using errcode = '42710', detail = 'Rename what has them, then apply the migrations again.';
  end if;
end
$$;
comment on function carousel_private.require_free(text[]) is 'Refuses names of relations, types and functions that something else has. A migration that makes something outside of this schema begins with it.';
revoke execute on function carousel_private.require_free(text[]) from public;
