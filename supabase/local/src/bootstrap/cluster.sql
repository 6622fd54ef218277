-- The roles of a hosted project, for the whole server. Runs as the superuser supabase_admin, again at each start without harm.
do $$
declare
    role record;
begin
    for role in
        select *
        from (values
            -- What owns the project. Not a superuser: a migration that needs one must fail here too.
            ('postgres', 'login nosuperuser createdb createrole replication bypassrls'),
            ('anon', 'nologin noinherit'),
            ('authenticated', 'nologin noinherit'),
            ('service_role', 'nologin noinherit bypassrls'),
            -- What PostgREST connects as; it becomes one of the three above for each request.
            ('authenticator', 'login noinherit'),
            ('supabase_auth_admin', 'login noinherit createrole'),
            ('supabase_storage_admin', 'login noinherit createrole'),
            ('supabase_realtime_admin', 'nologin noinherit'),
            ('dashboard_user', 'nologin createdb createrole replication')
        ) as wanted (name, attributes)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = role.name) then
            execute format('create role %I %s', role.name, role.attributes);
        end if;
    end loop;
end
$$;

grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to supabase_storage_admin;
grant anon, authenticated, service_role, authenticator to postgres with admin option;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;

-- The services' own roles are not postgres' to become. A hosted project lets it write policies on tables of these two through an
-- extension that isn't here: their rights are what comes nearest, and a trigger in each database takes back what is too much.
do $$
begin
    if current_setting('server_version_num')::int >= 160000 then
        -- Older ones can't read this.
        execute 'grant supabase_storage_admin, supabase_realtime_admin to postgres with inherit true, set false';
    else
        grant supabase_storage_admin, supabase_realtime_admin to postgres;
    end if;
end
$$;

alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_admin set search_path = "$user", public, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';
alter role supabase_storage_admin set search_path = storage;
