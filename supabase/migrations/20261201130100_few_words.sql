-- What a row says has an end: a list, a change or a look at a job costs everybody on the way as much as stands in it.

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
comment on function carousel_private.require_few_words() is 'Refuses a job or a template whose words are more than 256 kB together, or tags of more than 8 kB.';
revoke execute on function carousel_private.require_few_words() from public;

-- Triggers go by their names: these come behind prepare_job and check_template. Rows of before may be longer, and change in everything else.
create trigger require_few_words before insert on public.image_generation_jobs
  for each row execute function carousel_private.require_few_words();
create trigger require_few_words before insert or update of name, description, tags, prompt, slide_prompts, style, variables
  on public.image_generation_templates
  for each row execute function carousel_private.require_few_words();
