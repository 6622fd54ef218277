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
