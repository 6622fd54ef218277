-- Schema realtime: what migrations and clients touch of it on a hosted project, and the questions the stand-in asks of PostgreSQL.
-- Runs as the superuser supabase_admin. Left out: partitions of messages, realtime.subscription, broadcast_changes.

create schema if not exists realtime;

create table if not exists realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default now(),
    inserted_at timestamp not null default now(),
    id uuid not null default gen_random_uuid(),
    primary key (id, inserted_at)
);
comment on table realtime.messages is
    'Broadcasts sent by the database. Its policies decide who may join (select) and send to (insert) a private channel.';

-- `postgres` has the rights of the owner: that is what lets a migration write policies on it.
alter table realtime.messages owner to supabase_realtime_admin;
alter table realtime.messages enable row level security;

grant usage on schema realtime to postgres, anon, authenticated, service_role, supabase_realtime_admin;
grant select, insert, update on realtime.messages to postgres, anon, authenticated, service_role;
grant delete, truncate, references, trigger on realtime.messages to postgres;

-- supabase_realtime holds the rows that clients subscribe to; this one is how the server hears of broadcasts from the database.
do $$
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime_messages_publication') then
        create publication supabase_realtime_messages_publication for table realtime.messages;
    end if;
end
$$;

create or replace function realtime.topic() returns text
language sql stable as $$
    select nullif(current_setting('realtime.topic', true), '')
$$;
comment on function realtime.topic() is 'Topic of the channel that a policy on realtime.messages is being asked about.';
alter function realtime.topic() owner to supabase_realtime_admin;

create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql as $$
declare
    message_id constant uuid := gen_random_uuid();
begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (message_id, jsonb_build_object('id', message_id) || payload, event, topic, private, 'broadcast');
exception when others then
    -- A broadcast is a hint: it never fails the transaction that sends it.
    raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
end
$$;
comment on function realtime.send(jsonb, text, text, boolean) is
    'Broadcasts a payload to the clients of a topic when the transaction commits; errors become warnings.';

create or replace function realtime.cast(value text, type regtype) returns jsonb
language plpgsql stable as $$
declare
    result jsonb;
begin
    execute format('select to_jsonb(%L::%s)', value, type) into result;
    return result;
end
$$;
comment on function realtime.cast(text, regtype) is 'A column''s text as the JSON that clients receive.';

create or replace function realtime.matches(value text, type regtype, operator text, wanted text, negated boolean) returns boolean
language plpgsql stable as $$
declare
    comparison text;
    result boolean;
begin
    if operator = 'is' and wanted not in ('null', 'true', 'false', 'unknown') then
        raise exception 'invalid value for is filter: must be null, true, false, or unknown';
    end if;
    comparison := case operator
        when 'eq' then '%1$L::%2$s = %3$L::%2$s'
        when 'neq' then '%1$L::%2$s <> %3$L::%2$s'
        when 'lt' then '%1$L::%2$s < %3$L::%2$s'
        when 'lte' then '%1$L::%2$s <= %3$L::%2$s'
        when 'gt' then '%1$L::%2$s > %3$L::%2$s'
        when 'gte' then '%1$L::%2$s >= %3$L::%2$s'
        when 'in' then '%1$L::%2$s = any (%3$L::%2$s[])'
        when 'like' then '%1$L::%2$s like %3$L'
        when 'ilike' then '%1$L::%2$s ilike %3$L'
        when 'match' then '%1$L::%2$s ~ %3$L'
        when 'imatch' then '%1$L::%2$s ~* %3$L'
        when 'is' then '%1$L::%2$s is %3$s'
        when 'isdistinct' then '%1$L::%2$s is distinct from %3$L::%2$s'
    end;
    execute format('select ' || comparison, value, type, wanted) into result;
    -- A comparison with null is neither true nor false: no event, negated or not.
    return coalesce(result <> negated, false);
end
$$;
comment on function realtime.matches(text, regtype, text, text, boolean) is 'Whether a column''s value passes one filter.';

create or replace function realtime.column_type(entity regclass, role name, column_name text, purpose text) returns regtype
language plpgsql stable as $$
declare
    type regtype;
begin
    select a.atttypid into type
    from pg_catalog.pg_attribute a
    where a.attrelid = entity
        and a.attname = column_name
        and a.attnum > 0
        and not a.attisdropped
        and has_column_privilege(role, entity, a.attnum, 'SELECT');
    if type is null then
        raise exception 'invalid column for % %', purpose, column_name;
    end if;
    return type;
end
$$;
comment on function realtime.column_type(regclass, name, text, text) is
    'Type of a column that the role may select; raises when there is none.';

create or replace function realtime.check_filter(
    entity regclass, role name, column_name text, operator text, wanted text, negated boolean
) returns void
language plpgsql stable as $$
declare
    type constant regtype := realtime.column_type(entity, role, column_name, 'filter');
begin
    if operator = 'in' and cardinality(wanted::text[]) > 100 then
        raise exception 'too many values for `in` filter. Maximum 100';
    end if;
    if operator in ('match', 'imatch') then
        -- A null operand below would leave a broken expression unread.
        perform '' ~ wanted;
    end if;
    perform realtime.matches(null, type, operator, wanted, negated);
end
$$;
comment on function realtime.check_filter(regclass, name, text, text, text, boolean) is
    'Raises what is wrong with a filter when a client subscribes, rather than at every change.';

revoke execute on function realtime.cast(text, regtype) from public;
revoke execute on function realtime.matches(text, regtype, text, text, boolean) from public;
revoke execute on function realtime.column_type(regclass, name, text, text) from public;
revoke execute on function realtime.check_filter(regclass, name, text, text, text, boolean) from public;
