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
