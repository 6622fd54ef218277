-- The old app's tables step aside under another name, with their rows, indexes, policies, triggers and rights. The bucket is shared, as it is.

do $$
declare
  old_table text;
  old_index text;
  patience constant text := current_setting('lock_timeout');
begin
  -- Who waits for these tables waits until all of this is over; who holds them for longer than this is not waited for.
  perform set_config('lock_timeout', '10s', true);
  lock table public.image_generation_templates, public.image_generation_jobs, public.generated_carousel_images in access exclusive mode;
  perform set_config('lock_timeout', patience, true);

  foreach old_table in array array['image_generation_templates', 'image_generation_jobs', 'generated_carousel_images'] loop
    for old_index in
      select relname from pg_index join pg_class on pg_class.oid = indexrelid
      where indrelid = format('public.%I', old_table)::regclass
        -- Names that carousel's own indexes have. All others keep theirs.
        and relname ~ ('^' || old_table || '_(pkey|of_user|of_template|of_batch|of_carousel|by_sources|idempotency_key)$')
    loop
      execute format('alter index public.%I rename to %I', old_index, old_index || '_before_carousel');
    end loop;
    execute format('alter table public.%I rename to %I', old_table, old_table || '_before_carousel');
  end loop;

  if exists (select from storage.buckets where id = 'generated-carousels') then
    create schema carousel_shared_bucket;
  end if;
end
$$;
