-- {{name}} in a prompt stands for a value that the job, or its template, gives.

create function carousel_private.fill_in(words text, variables jsonb) returns text
language plpgsql
immutable
set search_path = ''
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
comment on function carousel_private.fill_in(text, jsonb) is 'The words with a value for each {{name}}, and otherwise as they are. Refuses a name without a value.';
revoke execute on function carousel_private.fill_in(text, jsonb) from public;
