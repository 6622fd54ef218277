-- What everything stands on: the private schema, the role of the worker, the names that must be free, and the record of the migrations.

create schema carousel_private;
comment on schema carousel_private is 'What the carousel worker needs and clients never see: queue, leases, workers, calls, limits. Not exposed by the API.';
revoke all on schema carousel_private from public;

-- The role outlives a database, and another database of the same server may have made it already.
do $$
begin
  create role carousel_worker nologin;
exception
  when duplicate_object or unique_violation then null;
end
$$;
comment on role carousel_worker is 'Role of the carousel worker. Give it a login: alter role carousel_worker login password ''...'';';

grant usage on schema carousel_private to carousel_worker;
grant usage on schema public to carousel_worker;

create function carousel_private.require_own_paths(owner uuid, paths text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  path text;
begin
  foreach path in array coalesce(paths, '{}') loop
    if path is null
      or char_length(path) > 512
      or path !~ '^[^/]+(/[A-Za-z0-9_!.*''() &$=@;:+,?-]+)+$'
      or path ~ '/\.{1,2}(/|$)'
    then
      raise exception 'source path % is not a path in the bucket', coalesce(quote_literal(left(path, 80)), 'null')
        using errcode = '23514', detail = 'source_path_invalid',
          hint = 'Upload to {your user id}/sources/{name}.{ext} and pass that path, without the bucket name.';
    elsif split_part(path, '/', 1) <> owner::text then
      raise exception 'source path % is not in your folder', quote_literal(left(path, 80))
        using errcode = '42501', detail = 'source_path_foreign',
          hint = 'A path starts with your own user id: ' || owner::text || '/sources/...';
    end if;
  end loop;
end
$$;
comment on function carousel_private.require_own_paths(uuid, text[])
  is 'Refuses a path that is malformed or lies in another user''s folder.';
revoke execute on function carousel_private.require_own_paths(uuid, text[]) from public;

create function carousel_private.require_slide_prompts(slide_prompts text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  slide_prompt text;
  slide integer := 0;
begin
  foreach slide_prompt in array coalesce(slide_prompts, '{}') loop
    slide := slide + 1;
    if slide_prompt is null then
      raise exception 'the prompt of slide % is null', slide
        using errcode = '23514', detail = 'slide_prompt_missing', hint = 'Use an empty text for a slide without words of its own.';
    elsif char_length(slide_prompt) > 32000 then
      raise exception 'the prompt of slide % is % characters long', slide, char_length(slide_prompt)
        using errcode = '23514', detail = 'prompt_too_long', hint = 'A slide prompt has at most 32000 characters.';
    end if;
  end loop;
end
$$;
comment on function carousel_private.require_slide_prompts(text[])
  is 'Refuses slide prompts that are null or longer than the provider takes.';
revoke execute on function carousel_private.require_slide_prompts(text[]) from public;

create function carousel_private.fill_in(words text, variables jsonb) returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  variable constant text := '\{\{ *([a-z][a-z0-9_]*) *\}\}';
  pieces text[];
  names text[];
  missing text;
  length bigint;
begin
  if words is null or strpos(words, '{{') = 0 then
    return words;
  end if;
  -- What stands between the names, and the names: a value is never read for names of its own.
  pieces := regexp_split_to_array(words, variable);
  names := array(select matched[1] from regexp_matches(words, variable, 'g') as matched);
  select name into missing from unnest(names) with ordinality as named (name, place)
    where variables ->> name is null order by place limit 1;
  if found then
    raise exception 'the variable % has no value', left(missing, 80)
      using errcode = '23514', detail = 'variable_missing',
        hint = format('Pass variables with {"%s": "..."}, or give the template a default.', left(missing, 80));
  end if;
  -- Before they are joined: a long value, named a thousand times, would fill the memory.
  length := char_length(array_to_string(pieces, ''))
    + (select coalesce(sum(char_length(variables ->> name)), 0) from unnest(names) as name);
  if length > 32000 then
    raise exception 'with its variables a prompt is % characters long', length
      using errcode = '23514', detail = 'prompt_too_long', hint = 'A prompt has at most 32000 characters: pass shorter variables.';
  end if;
  return (
    select string_agg(piece || coalesce(variables ->> name, ''), '' order by place)
    from unnest(pieces, names) with ordinality as part (piece, name, place)
  );
end
$$;
comment on function carousel_private.fill_in(text, jsonb)
  is 'The words with a value for each {{name}}, and otherwise as they are. Refuses a name without a value.';
revoke execute on function carousel_private.fill_in(text, jsonb) from public;

create function carousel_private.require_free(VARIADIC names text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  name text;
  found oid;
  taken text[] := '{}';
begin
  foreach name in array names loop
    begin
      found := case when name like '%(%' then to_regprocedure(name)::oid else coalesce(to_regclass(name)::oid, to_regtype(name)::oid) end;
    exception
      -- A type of its arguments is not there, so the function is not either.
      when undefined_object then found := null;
    end;
    if found is not null then
      taken := taken || name;
    end if;
  end loop;
  if cardinality(taken) > 0 then
    raise exception 'nothing was changed: carousel needs names that something else has here: %', array_to_string(taken, ', ')
      using errcode = '42710', detail = 'Rename what has them, then apply the migrations again.';
  end if;
end
$$;
comment on function carousel_private.require_free(text[])
  is 'Refuses names of relations, types and functions that something else has. A migration that makes something outside of this schema begins with it.';
revoke execute on function carousel_private.require_free(text[]) from public;

create function carousel_private.count_slides(slides_from text, source_paths text[], slide_prompts text[]) returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select case slides_from when 'sources' then cardinality(source_paths) else greatest(1, cardinality(slide_prompts)) end
$$;
comment on function carousel_private.count_slides(text, text[], text[])
  is 'How many slides a carousel of these has.';
revoke execute on function carousel_private.count_slides(text, text[], text[]) from public;

create function carousel_private.require_slides(slides_from text, source_paths text[], slide_prompts text[], slide_sources jsonb) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  sources integer := cardinality(source_paths);
  slides integer := carousel_private.count_slides(slides_from, source_paths, slide_prompts);
  slide bigint;
  numbers jsonb;
  wrong text;
  missing integer;
begin
  if slides_from not in ('prompts', 'sources') then
    raise exception 'slides_from is %', quote_literal(left(slides_from, 80))
      using errcode = '23514', constraint = 'slides_from_known', detail = 'slides_from_invalid',
        hint = 'Pass prompts, for slides that share the sources, or sources, for a slide of each source.';
  end if;
  if sources > (case when slides_from = 'sources' or slide_sources is not null then 100 else 16 end) then
    raise exception 'there are % source images', sources
      using errcode = '23514', constraint = 'at_most_16_sources_a_slide', detail = 'too_many_sources',
        hint = 'A slide sees 1 to 16. With slides_from sources, or with slide_sources, there may be 100 for all slides together.';
  end if;
  if slides_from = 'sources' and cardinality(slide_prompts) not in (0, sources) then
    raise exception 'there are % slide prompts for % sources', cardinality(slide_prompts), sources
      using errcode = '23514', detail = 'slide_prompts_mismatched',
        hint = 'With slides_from sources pass a slide prompt for each source, or none and one prompt for all.';
  end if;
  if slide_sources is null then
    return;
  end if;

  if slides_from = 'sources' then
    wrong := 'slide_sources stands beside slides_from sources, where each slide has its own';
  elsif jsonb_typeof(slide_sources) <> 'array' then
    wrong := format('slide_sources is %s', jsonb_typeof(slide_sources));
  elsif jsonb_array_length(slide_sources) <> slides then
    wrong := format('slide_sources has %s entries for %s slides', jsonb_array_length(slide_sources), slides);
  end if;
  if wrong is null then
    for slide, numbers in select place, entry from jsonb_array_elements(slide_sources) with ordinality as listed (entry, place) order by place loop
      if jsonb_typeof(numbers) <> 'array' then
        wrong := format('slide_sources names for slide %s %s', slide, jsonb_typeof(numbers));
      elsif jsonb_array_length(numbers) not between 1 and 16 then
        wrong := format('slide_sources names %s sources for slide %s', jsonb_array_length(numbers), slide);
      else
        -- By its digits: 1.0 and 1e300 are numbers as well.
        select format('slide_sources names %s for slide %s', left(number::text, 80), slide) into wrong
          from jsonb_array_elements(numbers) as number
          where jsonb_typeof(number) <> 'number' or number::text !~ '^[1-9][0-9]{0,2}$' or number::text::integer > sources
          limit 1;
        if wrong is null and jsonb_array_length(numbers) <> (select count(distinct number) from jsonb_array_elements(numbers) as number) then
          wrong := format('slide_sources names a source twice for slide %s', slide);
        end if;
      end if;
      exit when wrong is not null;
    end loop;
  end if;
  if wrong is null then
    select number into missing from generate_series(1, sources) as number
      where not slide_sources @> jsonb_build_array(jsonb_build_array(number)) order by number limit 1;
    if found then
      wrong := format('no slide sees source %s', missing);
    end if;
  end if;
  if wrong is not null then
    raise exception '%', wrong
      using errcode = '23514', detail = 'slide_sources_invalid',
        hint = format(
          'Pass a list with %s entries, one a slide, each a list of 1 to 16 different numbers from 1 to %s; each source goes with a slide. '
            'Slides are counted by slide_prompts. For all sources with each slide pass slides_from prompts and no slide_sources.',
          slides, sources
        );
  end if;
end
$$;
comment on function carousel_private.require_slides(text, text[], text[], jsonb)
  is 'Refuses sources, slide prompts and slide_sources that don''t make slides together.';
revoke execute on function carousel_private.require_slides(text, text[], text[], jsonb) from public;

create function carousel_private.require_few_words() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  most constant integer := 262144;
  most_tags constant integer := 8192;
  length integer;
  parts text;
begin
  -- With the job's variables filled in, and what it took from its template.
  if tg_table_name = 'image_generation_jobs' then
    parts := 'title, prompt, slide_prompts, style and variables';
    length := octet_length(concat(new.title, new.prompt, array_to_string(new.slide_prompts, ''), new.style, new.variables));
  else
    parts := 'name, description, prompt, slide_prompts, style and variables';
    length := octet_length(concat(
      new.name, new.description, new.prompt, array_to_string(new.slide_prompts, ''), new.style, new.variables
    ));
    -- These stand in every list.
    if octet_length(array_to_string(new.tags, '')) > most_tags then
      raise exception 'the tags have % bytes together', octet_length(array_to_string(new.tags, ''))
        using errcode = '23514', detail = 'words_too_long', hint = format('They have room for %s bytes.', most_tags);
    end if;
  end if;
  if length > most then
    raise exception '% have % bytes together', parts, length
      using errcode = '23514', detail = 'words_too_long',
        hint = format('They have room for %s bytes: write shorter ones, or send several jobs with the same batch_id.', most);
  end if;
  return new;
end
$$;
comment on function carousel_private.require_few_words()
  is 'Refuses a job or a template whose words are more than 256 kB together, or tags of more than 8 kB.';
revoke execute on function carousel_private.require_few_words() from public;

create table carousel_private.migrations (
  version text not null,
  name text not null,
  applied_at timestamptz default now() not null,
  constraint migrations_pkey primary key (version),
  constraint migrations_name_key unique (name)
);
comment on table carousel_private.migrations is 'Migrations of carousel''s that are applied, whichever tool has applied them.';
comment on column carousel_private.migrations.version is 'Its order among carousel''s. An app that has it among its own migrations may have it under another version.';
comment on column carousel_private.migrations.name is 'What it is known by.';
comment on column carousel_private.migrations.applied_at is 'When it was applied; of the first ones, when this table was made.';

grant select on carousel_private.migrations to carousel_worker;

create table carousel_private.proofs (
  nonce uuid not null,
  made_at timestamptz default now() not null,
  constraint proofs_pkey primary key (nonce)
);
comment on table carousel_private.proofs is 'Random numbers that workers have written into this database, for its project''s API to be asked for. Forgotten after an hour.';
comment on column carousel_private.proofs.nonce is 'The number.';
comment on column carousel_private.proofs.made_at is 'When it was written.';

create index proofs_by_time on carousel_private.proofs (made_at);

grant select, insert, delete on carousel_private.proofs to carousel_worker;

-- Volatile, so that it is asked of the database itself and of no replica.
create function public.carousel_has_proof(nonce uuid) returns boolean
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
  select exists (select from carousel_private.proofs proof where proof.nonce = carousel_has_proof.nonce)
$$;
comment on function public.carousel_has_proof(uuid)
  is 'Whether a worker has written this number into the database: proves to it that database and API are one project''s.';
revoke all on function public.carousel_has_proof(uuid) from public, anon, authenticated, service_role;
grant execute on function public.carousel_has_proof(uuid) to service_role;
