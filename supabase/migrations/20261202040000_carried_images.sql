-- What an app made before carousel came may be carried over (supabase/adopt): its objects lie elsewhere in their owner's folder, and nobody
-- has measured them. What carousel makes itself is as whole as before.

alter table public.generated_carousel_images
  drop constraint stored_in_the_owners_folder,
  drop constraint completed_is_whole,
  -- Not valid: the rows of before fulfil what is wider now, and are looked at in the next migration, while others go on writing.
  add constraint stored_in_the_owners_folder check (starts_with(storage_path, user_id::text || '/')) not valid,
  add constraint completed_is_whole check (
    status <> 'completed'
    or (
      storage_path is not null
      and (
        not starts_with(storage_path, user_id::text || '/jobs/')
        or (starts_with(storage_path, user_id::text || '/jobs/' || job_id::text || '/')
          and width > 0 and height > 0 and bytes > 0 and mime_type is not null and sha256 is not null)
      )
    )
  ) not valid;

comment on column public.generated_carousel_images.sha256 is 'Digest of the object, lowercase hex; null for what was carried over from before carousel.';

insert into carousel_private.migrations (version, name) values ('20261202040000', 'carried_images');
