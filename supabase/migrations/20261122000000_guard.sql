-- Before anything: what has a name that carousel is about to use, and is not carousel's, is left as it is, and the migrations with it.
-- On a project where the first of them have been applied already, this finds what is theirs and changes nothing.

do $$
declare
  bucket constant text := 'generated-carousels';
  -- What the first migration makes in the same transaction as its schema.
  begun constant boolean := to_regprocedure('carousel_private.require_own_paths(uuid, text[])') is not null;
  -- A table with a rule that only ours has. Others may have our names.
  ours constant oid[] := array(
    select class.oid
    from (values
      ('image_generation_templates', 'name_1_to_200_characters'),
      ('image_generation_jobs', 'prompt_or_slide_prompts_given'),
      ('generated_carousel_images', 'stored_in_the_owners_folder'),
      ('carousel_uploads', 'declared_in_own_sources')
    ) as known (name, rule)
    join pg_class class on class.relname = known.name and class.relnamespace = to_regnamespace('public')
    join pg_constraint on conrelid = class.oid and conname = known.rule
    where begun
  );
  stored boolean;
  foreigners text[] := '{}';
  mends text[] := '{}';
  thing record;
  versions text;
  -- As the detail of an error: the Supabase CLI shows no hints.
  advice text;
begin
  -- Whoever has applied this one does not come here. So what is there was applied by another tool, or a history was emptied.
  if to_regclass('carousel_private.migrations') is not null then
    select string_agg(version, ' ' order by version) into versions from carousel_private.migrations;
    advice := 'Go on with `carousel migrate`; or from the app''s own folder: carousel init, then supabase db push.' || e'\n'
      || 'To go on from a clone of carousel:' || e'\n' || 'supabase migration repair --status applied ' || versions;
    raise exception 'nothing was changed: carousel is in this project already, applied by another tool or from another folder'
      using errcode = '42710', detail = advice;
  end if;
  if to_regclass('storage.buckets') is null or to_regclass('storage.objects') is null then
    advice := 'Start the Storage service, or wait until the new project is healthy, and open Storage in its dashboard.'
      || e'\nThen apply the migrations again.';
    raise exception 'nothing was changed: Storage has not made its tables here yet' using errcode = '42P01', detail = advice;
  end if;

  for thing in
    -- Relations share one space of names, and tables and views share theirs with types.
    select kind || ' ' || name as what, format('alter %s %s rename to %I;', kind, name, relname || '_before_carousel') as mend
    from (
      select format('public.%I', class.relname) as name, class.relname, class.oid,
        case class.relkind
          when 'v' then 'view' when 'm' then 'materialized view' when 'i' then 'index' when 'I' then 'index' when 'S' then 'sequence'
          when 'f' then 'foreign table' when 'c' then 'type' else 'table'
        end as kind
      from pg_class class
      where class.relnamespace = to_regnamespace('public')
        and class.relname = any (array[
          'image_generation_templates', 'image_generation_templates_pkey', 'image_generation_templates_of_user',
          'image_generation_templates_by_sources', 'image_generation_jobs', 'image_generation_jobs_pkey', 'image_generation_jobs_of_user',
          'image_generation_jobs_of_template', 'image_generation_jobs_of_batch', 'image_generation_jobs_idempotency_key',
          'generated_carousel_images', 'generated_carousel_images_pkey', 'generated_carousel_images_of_user',
          'generated_carousel_images_of_carousel', 'one_row_an_image', 'generated_carousels',
          'carousel_uploads', 'carousel_uploads_pkey', 'carousel_uploads_of_user', 'carousel_uploads_unnamed'
        ])
    ) as relation
    where relation.oid <> all (ours)
      and not exists (select from pg_index where indexrelid = relation.oid and indrelid = any (ours))
      and not exists (
        select from pg_rewrite
        join pg_depend on classid = 'pg_rewrite'::regclass and objid = pg_rewrite.oid and refobjid = any (ours)
        where ev_class = relation.oid and relation.kind = 'view'
      )
    union all
    select kind || ' ' || name, format('alter %s %s rename to %I;', kind, name, typname || '_before_carousel')
    from (
      select format('public.%I', typname) as name, typname, case typtype when 'd' then 'domain' else 'type' end as kind
      from pg_type
      where typnamespace = to_regnamespace('public') and typrelid = 0
        and typname in (
          'image_generation_templates', 'image_generation_jobs', 'generated_carousel_images', 'generated_carousels', 'carousel_uploads'
        )
    ) as type
    union all
    select 'function public.carousel_has_proof(uuid)', 'alter function public.carousel_has_proof(uuid) rename to carousel_has_proof_before_carousel;'
    where to_regprocedure('public.carousel_has_proof(uuid)') is not null
      and not exists (select from pg_class where oid = any (ours) and relname = 'carousel_uploads')
    union all
    select 'schema carousel_private', 'alter schema carousel_private rename to carousel_private_before_carousel;'
    where to_regnamespace('carousel_private') is not null and not begun
    union all
    -- Roles are the whole server's: another database may have made it. One without our comment is taken if nothing depends on it here and
    -- it may do nothing: who set a password before the first migration made one.
    select 'role carousel_worker',
      'if it is meant for carousel: comment on role carousel_worker is ''Role of the carousel worker.''; otherwise: '
      || 'alter role carousel_worker rename to carousel_worker_before_carousel;'
    from pg_roles role
    where rolname = 'carousel_worker'
      and not begun
      and coalesce(shobj_description(oid, 'pg_authid'), '') not like 'Role of the carousel worker%'
      and (
        rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
        or exists (select from pg_auth_members where member = role.oid)
        or exists (
          select from pg_shdepend
          join pg_database on pg_database.oid = dbid and datname = current_database()
          where refclassid = 'pg_authid'::regclass and refobjid = role.oid
        )
      )
    union all
    select format('policy "%s" on storage.objects', policyname),
      format('alter policy "%s" on storage.objects rename to "%s (before carousel)";', policyname, policyname)
    from pg_policies
    where schemaname = 'storage' and tablename = 'objects'
      and policyname in (
        'carousel: owners read their folder', 'carousel: owners upload sources', 'carousel: owners replace sources',
        'carousel: owners delete sources'
      )
      and not (begun and strpos(concat(qual, with_check), bucket) > 0)
  loop
    foreigners := foreigners || thing.what;
    mends := mends || thing.mend;
  end loop;

  -- The bucket is ours once its migration is applied. Before, its owner's word is wanted: its settings are about to be changed.
  stored := begun and exists (
    select from pg_policies
    where schemaname = 'storage' and tablename = 'objects' and policyname = 'carousel: owners read their folder'
      and strpos(qual, bucket) > 0
  );
  if not stored and exists (select from storage.buckets where bucket in (id, name)) then
    if to_regnamespace('carousel_shared_bucket') is null or not exists (select from storage.buckets where id = bucket) then
      foreigners := foreigners || ('bucket ' || bucket);
      mends := mends || (
        'to share it with carousel, which then leaves its settings and all other objects in it as they are: '
        || 'create schema carousel_shared_bucket; otherwise: move its objects to another bucket and delete it in the dashboard'
      );
    else
      -- Remembered until the migration that knows what to do with it: the one of the bucket sets them.
      create table if not exists carousel_shared_bucket.settings as
        select id, public, file_size_limit, allowed_mime_types from storage.buckets where id = bucket;
    end if;
  end if;

  if cardinality(foreigners) > 0 then
    advice := array_to_string(mends, e'\n') || e'\nThen apply the migrations again.';
    raise exception 'nothing was changed: carousel needs names that something else has here: %', array_to_string(foreigners, ', ')
      using errcode = '42710', detail = advice;
  end if;
end
$$;
