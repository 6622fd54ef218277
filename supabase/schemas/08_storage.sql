-- The bucket, and who may do what in it. Paths begin with the owner's id: {user_id}/sources/..., {user_id}/jobs/..., {user_id}/exports/...

insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values (
  'generated-carousels', 'generated-carousels', false, 52428800,
  '{image/png,image/jpeg,image/webp,application/zip,application/pdf,video/mp4}'
)
on conflict (id) do update set
  public = excluded.public,
  file_size_limit = excluded.file_size_limit,
  allowed_mime_types = excluded.allowed_mime_types;

create policy "carousel: owners read their folder" on storage.objects
  for select to authenticated
  using (bucket_id = 'generated-carousels' and (storage.foldername(name))[1] = (select auth.uid()::text));
create policy "carousel: owners upload sources" on storage.objects
  for insert to authenticated
  with check (
    bucket_id = 'generated-carousels'
    and (storage.foldername(name))[1] = (select auth.uid()::text)
    and (storage.foldername(name))[2] = 'sources'
  );
create policy "carousel: owners replace sources" on storage.objects
  for update to authenticated
  using (
    bucket_id = 'generated-carousels'
    and (storage.foldername(name))[1] = (select auth.uid()::text)
    and (storage.foldername(name))[2] = 'sources'
  )
  with check (
    bucket_id = 'generated-carousels'
    and (storage.foldername(name))[1] = (select auth.uid()::text)
    and (storage.foldername(name))[2] = 'sources'
  );
create policy "carousel: owners delete sources" on storage.objects
  for delete to authenticated
  using (
    bucket_id = 'generated-carousels'
    and (storage.foldername(name))[1] = (select auth.uid()::text)
    and (storage.foldername(name))[2] = 'sources'
  );

create table carousel_private.shared_bucket (
  id text default 'generated-carousels' not null,
  public boolean,
  file_size_limit bigint,
  allowed_mime_types text[],
  shared_at timestamptz default now() not null,
  constraint shared_bucket_pkey primary key (id),
  constraint one_bucket check (id = 'generated-carousels')
);
comment on table carousel_private.shared_bucket is 'A row when the app had the bucket before and shares it: its settings are the app''s, and only sources that were written down are removed from it.';
comment on column carousel_private.shared_bucket.id is 'The bucket, generated-carousels.';
comment on column carousel_private.shared_bucket.public is 'Whether it was public when carousel came.';
comment on column carousel_private.shared_bucket.file_size_limit is 'Bytes that a file could have when carousel came.';
comment on column carousel_private.shared_bucket.allowed_mime_types is 'Media types that it took when carousel came.';
comment on column carousel_private.shared_bucket.shared_at is 'When carousel came.';

grant select on carousel_private.shared_bucket to carousel_worker;
