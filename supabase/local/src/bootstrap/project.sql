-- What a fresh hosted project has in its own database, but for auth, storage and realtime. Runs as the superuser supabase_admin.

-- Since 2026-10-30 nobody gets anything on new tables of public unless a migration says so; these three may only enter.
revoke create on schema public from public;
grant usage, create on schema public to postgres;
grant usage on schema public to anon, authenticated, service_role;

create schema if not exists extensions;
alter schema extensions owner to postgres;
grant usage on schema extensions to anon, authenticated, service_role, supabase_auth_admin, dashboard_user;

-- They come with the server's contrib modules, which a system's PostgreSQL may lack.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['pgcrypto', 'uuid-ossp'] loop
        if exists (select from pg_catalog.pg_available_extensions where name = wanted) then
            execute format('create extension if not exists %I with schema extensions', wanted);
        end if;
    end loop;
end
$$;
grant execute on all functions in schema extensions to anon, authenticated, service_role, supabase_auth_admin, dashboard_user;

do $$
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
end
$$;
alter publication supabase_realtime owner to postgres;

-- A hosted project's `authenticator` loads pg_safeupdate: a DELETE or an UPDATE without WHERE fails there, whatever policies would add.
-- PostgREST calls this before each request; the gateway's header says what the request leaves out. What functions do is not looked at.
create or replace function extensions.safeupdate() returns void
language plpgsql
set search_path = ''
as $$
declare
    verb constant text := current_setting('request.headers', true)::json ->> 'x-without-filter';
begin
    if verb is not null then
        raise exception using errcode = '21000', message = format('%s requires a WHERE clause', verb);
    end if;
end
$$;

-- PostgREST reads the schema again when it changes, so that a migration needs no restart.
create or replace function extensions.pgrst_ddl_watch() returns event_trigger
language plpgsql
set search_path = ''
as $$
declare
    command record;
begin
    for command in select * from pg_catalog.pg_event_trigger_ddl_commands() loop
        if command.schema_name is distinct from 'pg_temp' then
            notify pgrst, 'reload schema';
            return;
        end if;
    end loop;
end
$$;

create or replace function extensions.pgrst_drop_watch() returns event_trigger
language plpgsql
set search_path = ''
as $$
begin
    if exists (select from pg_catalog.pg_event_trigger_dropped_objects() where not is_temporary) then
        notify pgrst, 'reload schema';
    end if;
end
$$;

drop event trigger if exists pgrst_ddl_watch;
create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
drop event trigger if exists pgrst_drop_watch;
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();

-- On a hosted project an extension lets `postgres` write policies and triggers on the tables of Storage and Realtime. Here it has the
-- rights of their owners instead, which are far more: what goes beyond is refused when it has been done.
create or replace function extensions.leave_services_alone() returns event_trigger
language plpgsql
set search_path = ''
as $$
declare
    touched text;
begin
    if current_user <> 'postgres' then
        return;
    end if;
    if tg_event = 'sql_drop' then
        select object_identity into touched
        from pg_catalog.pg_event_trigger_dropped_objects()
        where original and object_type not in ('policy', 'trigger')
            and (schema_name in ('storage', 'realtime') or object_type = 'schema' and object_name in ('storage', 'realtime'));
    else
        select object_identity into touched
        from pg_catalog.pg_event_trigger_ddl_commands()
        where schema_name in ('storage', 'realtime')
            and command_tag not in ('CREATE POLICY', 'ALTER POLICY', 'CREATE TRIGGER', 'GRANT', 'REVOKE');
    end if;
    if touched is not null then
        raise exception using errcode = '42501', message = format('must be owner of %s', touched);
    end if;
end
$$;

drop event trigger if exists leave_services_alone;
create event trigger leave_services_alone on ddl_command_end execute function extensions.leave_services_alone();
drop event trigger if exists leave_services_alone_drop;
create event trigger leave_services_alone_drop on sql_drop execute function extensions.leave_services_alone();
