-- The way back, in one statement: select carousel_private.undo_adoption();

create function carousel_private.undo_adoption(lose_newer boolean default false) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $undo$
declare
  newer_jobs bigint;
  newer_templates bigint;
  kept constant jsonb := (select counts from carousel_private.adoption);
  old_table text;
  thing record;
  names text[];
begin
  lock table public.image_generation_templates, public.image_generation_jobs, public.generated_carousel_images,
    public.image_generation_templates_before_carousel, public.image_generation_jobs_before_carousel,
    public.generated_carousel_images_before_carousel in access exclusive mode;
  select count(*) into newer_jobs from public.image_generation_jobs where created_at > (select adopted_at from carousel_private.adoption);
  select count(*) into newer_templates from public.image_generation_templates where created_at > (select adopted_at from carousel_private.adoption);
  if newer_jobs + newer_templates > 0 and not lose_newer then
    raise exception '% jobs and % templates were made since carousel came, and the tables of before have no place for them', newer_jobs, newer_templates
      using errcode = '55000', detail = 'newer_jobs', hint = 'To lose their rows (their objects stay): select carousel_private.undo_adoption(lose_newer => true);';
  end if;

  for thing in
    select policyname, schemaname, tablename from pg_policies
    where (schemaname, tablename) in (('storage', 'objects'), ('realtime', 'messages')) and starts_with(policyname, 'carousel: ')
  loop
    execute format('drop policy %I on %I.%I', thing.policyname, thing.schemaname, thing.tablename);
  end loop;
  update storage.buckets bucket
    set public = shared.public, file_size_limit = shared.file_size_limit, allowed_mime_types = shared.allowed_mime_types
    from carousel_private.shared_bucket shared where bucket.id = shared.id;

  drop view public.generated_carousels;
  drop table public.carousel_uploads, public.generated_carousel_images, public.image_generation_jobs, public.image_generation_templates cascade;
  drop function public.carousel_has_proof(uuid);

  foreach old_table in array array['image_generation_templates', 'image_generation_jobs', 'generated_carousel_images'] loop
    execute format('alter table public.%I rename to %I', old_table || '_before_carousel', old_table);
    for thing in
      select relname from pg_index join pg_class on pg_class.oid = indexrelid
      where indrelid = format('public.%I', old_table)::regclass and relname like '%\_before\_carousel'
    loop
      execute format('alter index public.%I rename to %I', thing.relname, regexp_replace(thing.relname, '_before_carousel$', ''));
    end loop;
  end loop;

  -- So that no tool takes what is gone for applied.
  select array_agg(name) into names from carousel_private.migrations;
  if to_regclass('supabase_migrations.refinery_schema_history') is not null then
    execute 'delete from supabase_migrations.refinery_schema_history where name = any ($1)' using names;
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'delete from supabase_migrations.schema_migrations where name = ''carousel_adoption'' or name = any (array(select ''carousel_'' || name from unnest($1) as name))'
      using names;
  end if;
  revoke usage on schema public from carousel_worker;
  drop schema carousel_private cascade;
  return format('the tables of before are back, with %s templates, %s jobs and %s images', kept ->> 'templates', kept ->> 'jobs', kept ->> 'images');
end
$undo$;
comment on function carousel_private.undo_adoption(boolean)
  is 'Gives an app its tables of before carousel back, with all their rows and names, and takes carousel out. Objects stay. Refuses to lose newer jobs and templates unless told to.';
revoke execute on function carousel_private.undo_adoption(boolean) from public;
