-- A picture from before carousel is named by two rows, ours and the old table's. When ours is deleted its object waits for the other: the way
-- back would find rows without their files otherwise.

create or replace function carousel_private.clean_up_deleted_image() returns trigger
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

create or replace function carousel_private.sweep_objects(older_than interval) returns integer
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

insert into carousel_private.migrations (version, name) values ('20261202040200', 'carried_objects_stay');
