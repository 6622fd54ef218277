-- Objects outlive their rows: what a row pointed to is written down for the worker to delete.

create function carousel_private.clean_up_deleted_image() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  insert into carousel_private.storage_cleanup (path, reason)
    select path, 'image deleted' from unnest(array[old.storage_path, old.preview_path]) as path where path is not null;
  return null;
end
$$;
comment on function carousel_private.clean_up_deleted_image() is 'Writes down the objects of a deleted image.';
revoke execute on function carousel_private.clean_up_deleted_image() from public;

create function carousel_private.clean_up_replaced_preview() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  insert into carousel_private.storage_cleanup (path, reason) values (old.preview_path, 'preview replaced');
  return null;
end
$$;
comment on function carousel_private.clean_up_replaced_preview() is 'Writes down a preview that a later one, or the image itself, has replaced.';
revoke execute on function carousel_private.clean_up_replaced_preview() from public;

create trigger clean_up_deleted_image after delete on public.generated_carousel_images
  for each row execute function carousel_private.clean_up_deleted_image();
create trigger clean_up_replaced_preview after update of preview_path on public.generated_carousel_images
  for each row when (old.preview_path is not null and old.preview_path is distinct from new.preview_path)
  execute function carousel_private.clean_up_replaced_preview();

create function carousel_private.clean_up_sources() returns trigger
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
        from removed
        -- Of an account that is deleted, the sweep removes the whole folder.
        join auth.users owner on owner.id = removed.user_id
        cross join unnest(removed.source_paths) as path
        where starts_with(path, removed.user_id::text || '/sources/')
      except
      select template.user_id, path
        from public.image_generation_templates template cross join unnest(template.source_paths) as path
        where template.user_id in (select user_id from removed)
      except
      select job.user_id, path
        from public.image_generation_jobs job cross join unnest(job.source_paths) as path
        where job.user_id in (select user_id from removed)
    ) as unnamed;
  return null;
end
$$;
comment on function carousel_private.clean_up_sources() is 'Writes down the sources of deleted rows that no other template or job of their owner names.';
revoke execute on function carousel_private.clean_up_sources() from public;

create function carousel_private.is_source_kept(source text, since timestamptz) returns boolean
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
    or exists (
      select from storage.objects object
      where object.bucket_id = 'generated-carousels' and object.name = source
        and greatest(object.created_at, object.updated_at) > since
    );
end
$$;
comment on function carousel_private.is_source_kept(text, timestamptz)
  is 'Whether a source that was to go since then stays after all: a row names it again, or it was uploaded anew. False for any other object.';
revoke execute on function carousel_private.is_source_kept(text, timestamptz) from public;
grant execute on function carousel_private.is_source_kept(text, timestamptz) to carousel_worker;

create function carousel_private.keep_named_sources() returns trigger
language plpgsql
security definer
set search_path = ''
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
comment on function carousel_private.keep_named_sources() is 'Keeps sources that are to go once a row names them again; refuses those that are on their way out.';
revoke execute on function carousel_private.keep_named_sources() from public;

create trigger clean_up_sources after delete on public.image_generation_templates
  referencing old table as removed for each statement execute function carousel_private.clean_up_sources('template deleted');
create trigger clean_up_sources after delete on public.image_generation_jobs
  referencing old table as removed for each statement execute function carousel_private.clean_up_sources('job deleted');
create trigger keep_named_sources after insert or update of source_paths on public.image_generation_templates
  for each row execute function carousel_private.keep_named_sources();
create trigger keep_named_sources after insert on public.image_generation_jobs
  for each row execute function carousel_private.keep_named_sources();
