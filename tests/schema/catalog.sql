-- Everything about our schemas that a migration can make or leave out, a line each.
with ours as (
    select oid, nspname, nspowner, nspacl from pg_namespace
    where nspname in ('public', 'carousel_private', 'storage', 'supabase_migrations')
),
-- Beside the CLI's history stands refinery's, which only `carousel migrate` makes.
relation as (
    select class.* from pg_class class join ours on ours.oid = class.relnamespace
    where class.relname not like 'refinery_schema_history%'
)
select format('schema %s owner=%s acl=%s comment=%s', nspname, nspowner::regrole, nspacl::text, obj_description(oid, 'pg_namespace'))
from ours
union all
select format('relation %s kind=%s owner=%s options=%s rls=%s/%s replica=%s persistence=%s comment=%s',
    oid::regclass, relkind, relowner::regrole, reloptions, relrowsecurity, relforcerowsecurity, relreplident, relpersistence,
    obj_description(oid, 'pg_class'))
from relation
union all
select format('grant on %s: %s to %s by %s, grantable=%s', relation.oid::regclass, privilege_type, grantee::regrole, grantor::regrole, is_grantable)
from relation cross join aclexplode(relacl)
union all
select format('column %s.%s %s not null=%s default=%s identity=%s generated=%s collation=%s storage=%s comment=%s',
    attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity, attgenerated,
    attcollation::regcollation, attstorage, col_description(attrelid, attnum))
from relation
join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
left join pg_attrdef on adrelid = attrelid and adnum = attnum
union all
select format('grant on %s.%s: %s to %s by %s, grantable=%s',
    attrelid::regclass, attname, privilege_type, grantee::regrole, grantor::regrole, is_grantable)
from relation
join pg_attribute on attrelid = relation.oid and not attisdropped
cross join aclexplode(attacl)
union all
select format('constraint %s on %s: %s deferrable=%s validated=%s comment=%s', conname, conrelid::regclass, pg_get_constraintdef(pg_constraint.oid),
    condeferrable, convalidated, obj_description(pg_constraint.oid, 'pg_constraint'))
from pg_constraint join relation on relation.oid = conrelid
union all
select format('index %s', pg_get_indexdef(indexrelid)) from pg_index join relation on relation.oid = indrelid
union all
select format('view %s: %s', oid::regclass, pg_get_viewdef(oid)) from relation where relkind = 'v'
union all
select format('trigger on %s enabled=%s: %s', tgrelid::regclass, tgenabled, pg_get_triggerdef(pg_trigger.oid))
from pg_trigger join relation on relation.oid = tgrelid
where not tgisinternal
union all
select format('policy %s on %s for %s permissive=%s to %s using %s with check %s', polname, polrelid::regclass, polcmd, polpermissive,
    polroles::regrole[], pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
from pg_policy join relation on relation.oid = polrelid
union all
select format('function %s owner=%s acl=%s comment=%s: %s', pg_proc.oid::regprocedure, proowner::regrole, proacl::text,
    obj_description(pg_proc.oid, 'pg_proc'), pg_get_functiondef(pg_proc.oid))
from pg_proc join ours on ours.oid = pronamespace
union all
select format('domain %s is %s not null=%s acl=%s comment=%s', pg_type.oid::regtype, format_type(typbasetype, typtypmod), typnotnull,
    typacl::text, obj_description(pg_type.oid, 'pg_type'))
from pg_type join ours on ours.oid = typnamespace
where typtype = 'd'
union all
select format('default grants of %s in %s on %s: %s', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl::text)
from pg_default_acl
union all
select format('publication %s owner=%s all=%s insert=%s update=%s delete=%s truncate=%s',
    pubname, pubowner::regrole, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate)
from pg_publication
union all
select format('published by %s: %s.%s columns=%s rows=%s', pubname, schemaname, tablename, attnames, rowfilter) from pg_publication_tables
union all
select format('bucket %s', to_jsonb(bucket) - 'created_at' - 'updated_at') from storage.buckets bucket
union all
select format('role %s login=%s superuser=%s bypassrls=%s inherit=%s createrole=%s createdb=%s replication=%s settings=%s comment=%s',
    rolname, rolcanlogin, rolsuper, rolbypassrls, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolconfig,
    shobj_description(oid, 'pg_authid'))
from pg_roles where rolname = 'carousel_worker'
union all
select format('extension %s %s in %s', extname, extversion, extnamespace::regnamespace) from pg_extension
order by 1
