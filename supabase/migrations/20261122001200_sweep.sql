-- Objects without a row: a worker was lost between upload and record, or an account is gone.

create function carousel_private.sweep_objects(older_than interval) returns integer
language plpgsql
security definer
set search_path = ''
as $$
declare
  found_objects integer;
begin
  -- One sweep at a time is enough.
  if not pg_try_advisory_xact_lock(hashtextextended('carousel sweep', 0)) then
    return 0;
  end if;
  insert into carousel_private.storage_cleanup (path, reason)
    select
      object.name,
      case when owner.id is null then 'account deleted' else 'no row' end
    from storage.objects object
    left join auth.users owner on owner.id::text = split_part(object.name, '/', 1)
    where object.bucket_id = 'generated-carousels'
      and object.created_at < now() - older_than
      and (
        owner.id is null
        or (
          split_part(object.name, '/', 2) = 'jobs'
          and not exists (select from public.generated_carousel_images image where image.storage_path = object.name)
          and not exists (select from public.generated_carousel_images image where image.preview_path = object.name)
        )
      )
      and not exists (select from carousel_private.storage_cleanup waiting where waiting.path = object.name);
  get diagnostics found_objects = row_count;
  return found_objects;
end
$$;
comment on function carousel_private.sweep_objects(interval) is 'Writes down objects of the bucket that no row names, or whose owner is gone, for the worker to delete.';
revoke execute on function carousel_private.sweep_objects(interval) from public;
grant execute on function carousel_private.sweep_objects(interval) to carousel_worker;
