-- The private schema, the worker's role, and the checks that more than one table needs.

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
set search_path = ''
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
comment on function carousel_private.require_own_paths(uuid, text[]) is 'Refuses a path that is malformed or lies in another user''s folder.';
revoke execute on function carousel_private.require_own_paths(uuid, text[]) from public;

create function carousel_private.require_slide_prompts(slide_prompts text[]) returns void
language plpgsql
set search_path = ''
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
comment on function carousel_private.require_slide_prompts(text[]) is 'Refuses slide prompts that are null or longer than the provider takes.';
revoke execute on function carousel_private.require_slide_prompts(text[]) from public;
