-- What the old app's words mean: addresses of pictures, and settings.

create table carousel_private.adoption (
  is_only boolean primary key default true,
  adopted_at timestamptz not null default now(),
  counts jsonb not null default '{}',
  public_address text,
  constraint one_row check (is_only)
);
comment on table carousel_private.adoption is 'That the tables of an app from before carousel were carried over, in one row.';
comment on column carousel_private.adoption.is_only is 'Always true.';
comment on column carousel_private.adoption.adopted_at is 'When.';
comment on column carousel_private.adoption.counts is 'How many rows there were, and what became of them.';
comment on column carousel_private.adoption.public_address is 'What public addresses of the bucket''s objects begin with; null where the old frontend does not go on.';
insert into carousel_private.adoption default values;

create function carousel_private.own_path(owner uuid, address text) returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  path text := regexp_replace(address, '^https?://[^/]+/storage/v1/(object|render/image)/(public|sign|authenticated)/generated-carousels/([^?#]*).*$', '\3');
  decoded bytea := '';
  piece text;
begin
  if path <> address and strpos(path, '%') > 0 then
    begin
      for piece in select matched[1] from regexp_matches(path, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') as matched loop
        decoded := decoded || case when piece ~ '^%..' then decode(substr(piece, 2), 'hex') else convert_to(piece, 'UTF8') end;
      end loop;
      path := convert_from(decoded, 'UTF8');
    exception when others then
      return null;
    end;
  end if;
  -- As a job's source may be.
  if starts_with(path, owner::text || '/') and char_length(path) <= 512
    and path ~ '^[^/]+(/[A-Za-z0-9_!.*''() &$=@;:+,?-]+)+$' and path !~ '/\.{1,2}(/|$)'
  then
    return path;
  end if;
  return null;
end
$$;
comment on function carousel_private.own_path(uuid, text) is 'The object of the bucket that an address, or a path, means, when it lies in this person''s folder; else null.';

create function carousel_private.own_paths(owner uuid, document jsonb) returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(array_agg(path order by place), '{}')
  from (
    select carousel_private.own_path(owner, value #>> '{}') as path, min(place) as place
    from jsonb_path_query(document, 'strict $.** ? (@.type() == "string")') with ordinality as found (value, place)
    group by 1
  ) as paths
  where path is not null
$$;
comment on function carousel_private.own_paths(uuid, jsonb) is 'The objects in this person''s folder that a document names anywhere, each once, in its order.';

create function carousel_private.as_json(words text) returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when words ~ '^\s*[\[{]' then words::jsonb end;
exception when others then
  return null;
end
$$;
comment on function carousel_private.as_json(text) is 'A list or an object, when the words are one; else null.';

create function carousel_private.old_prompts(documents jsonb[], slides integer) returns text[]
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select array(select left(words, 32000) from jsonb_array_elements_text(document -> 'prompts') with ordinality as prompt (words, place) order by place)
  from unnest(documents) as document
  where jsonb_typeof(document -> 'prompts') = 'array'
    and jsonb_array_length(document -> 'prompts') = slides
    and not document -> 'prompts' @? 'strict $[*] ? (@.type() != "string")'
  limit 1
$$;
comment on function carousel_private.old_prompts(jsonb[], integer) is 'The first list of prompts that has one for each slide; null when there is none.';

create function carousel_private.old_ratio(settings jsonb) returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case when settings ->> 'aspect_ratio' in ('1:1', '4:5', '9:16', '3:4', '16:9', '3:2', '2:3') then settings ->> 'aspect_ratio' else 'auto' end
$$;
comment on function carousel_private.old_ratio(jsonb) is 'The aspect ratio that settings of the old app ask for: auto when they don''t say.';

create function carousel_private.old_quality(settings jsonb) returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when settings ->> 'quality' = 'hd' then 'high'
    when settings ->> 'quality' = 'standard' then 'medium'
    when settings ->> 'quality' in ('low', 'medium', 'high', 'xhigh', 'max', 'auto') then settings ->> 'quality'
  end
$$;
comment on function carousel_private.old_quality(jsonb) is 'The quality that settings of the old app ask for: standard is medium, hd is high, and null where they don''t say.';

create function carousel_private.old_style(settings jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'lettering', case when settings -> 'use_lowercase' = 'true' then 'all in lowercase' end,
    'borders', case when settings -> 'add_borders' = 'true' then coalesce(left(nullif(settings ->> 'border_color', ''), 100), 'yes') end
  ))
$$;
comment on function carousel_private.old_style(jsonb) is 'What settings of the old app say of the style.';

revoke execute on function
  carousel_private.own_path(uuid, text), carousel_private.own_paths(uuid, jsonb), carousel_private.as_json(text),
  carousel_private.old_prompts(jsonb[], integer), carousel_private.old_ratio(jsonb), carousel_private.old_quality(jsonb),
  carousel_private.old_style(jsonb)
  from public;
