-- A prompt that is taken can be made: what the worker adds to it counts.

create function carousel_private.require_room_in_prompt(job public.image_generation_jobs) returns void
language plpgsql
set search_path = ''
as $$
declare
  -- What the provider takes.
  most constant integer := 32000;
  -- Between two parts stands an empty line.
  gap constant integer := 2;
  blanks constant text := e' \t\r\n';
  slides constant integer := cardinality(job.slide_prompts);
  prompt constant integer := char_length(btrim(job.prompt, blanks));
  style integer;
  worst record;
  added integer;
begin
  -- These are refused in words of their own.
  if jsonb_typeof(job.style) <> 'object' or prompt > most
    or exists (select from unnest(job.slide_prompts) as words where words is null or char_length(words) > most)
  then
    return;
  end if;
  -- A line for each option. Lists are joined and numbers are rounded when they are read: as JSON nothing is shorter, but for a number that
  -- needs an exponent, by two at most.
  select sum(char_length(key) + char_length('- : ') + 1 + case jsonb_typeof(value)
      when 'string' then char_length(btrim(value #>> '{}', blanks))
      else char_length(value::text) + 2 * jsonb_array_length(jsonb_path_query_array(value, 'strict $.** ? (@.type() == "number")'))
    end) + char_length('Style:') into style
    from jsonb_each(job.style)
    where value not in ('null', 'false', '[]') and btrim(value #>> '{}', blanks) <> '';
  added := char_length('Compose it for a frame of .') + (select max(char_length(ratio)) from unnest(job.aspect_ratios) as ratio)
    + coalesce(style + gap, 0)
    + case when prompt > 0 then gap else 0 end
    + case when job.variants > 1 then
        char_length(format('Variation %1$s of %1$s: keep the subject, and choose a composition of your own.', job.variants)) + gap
      else 0 end;
  select place, char_length(words) as words,
      case when slides > 1 then char_length(format('Slide %s of %s of one carousel', place, slides)) + case words when '' then 1 else 2 end + gap
        when words <> '' then gap else 0 end as around
    into worst
    from (
      select place, btrim(words, blanks) as words
      from unnest(case slides when 0 then array[''] else job.slide_prompts end) with ordinality as slide (words, place)
    ) as slide
    order by char_length(words) + case words when '' then 1 else 2 end + char_length(place::text) desc, place limit 1;
  added := added + worst.around;
  if prompt + worst.words + added > most then
    raise exception 'with style, variant and frame the prompt of slide % is % characters long', worst.place, prompt + worst.words + added
      using errcode = '23514', detail = 'prompt_too_long',
        hint = format(
          'The provider takes %s characters, and %s of them are added: prompt and words of a slide have room for %s together.',
          most, added, most - added
        );
  end if;
end
$$;
comment on function carousel_private.require_room_in_prompt(public.image_generation_jobs)
  is 'Refuses a job whose longest prompt, as the worker composes it, is longer than the provider takes.';
revoke execute on function carousel_private.require_room_in_prompt(public.image_generation_jobs) from public;

create or replace function carousel_private.require_makeable(job public.image_generation_jobs) returns void
language plpgsql
set search_path = ''
as $$
declare
  slides integer := greatest(1, cardinality(job.slide_prompts));
  ratios integer := cardinality(job.aspect_ratios);
begin
  if job.prompt !~ '\S'
    and (cardinality(job.slide_prompts) = 0 or exists (select from unnest(job.slide_prompts) as words where words !~ '\S'))
  then
    raise exception 'the job has no prompt'
      using errcode = '23514', constraint = 'prompt_or_slide_prompts_given', detail = 'prompt_missing',
        hint = 'Pass prompt, or slide_prompts with words for every slide.';
  end if;
  if cardinality(job.source_paths) not between 1 and 16 then
    raise exception 'the job has % source images', cardinality(job.source_paths)
      using errcode = '23514', constraint = 'source_paths_1_to_16',
        detail = case cardinality(job.source_paths) when 0 then 'sources_missing' else 'too_many_sources' end,
        hint = 'Pass source_paths with 1 to 16 uploaded images, or template_id.';
  end if;
  if job.variants not between 1 and 10 then
    raise exception 'variants is %', job.variants
      using errcode = '23514', constraint = 'variants_between_1_and_10', detail = 'variants_out_of_range', hint = 'Pass 1 to 10.';
  end if;
  if ratios = 0 or ratios <> (
    select count(distinct ratio) from unnest(job.aspect_ratios) as ratio where ratio in ('1:1', '4:5', '9:16', '3:4', '16:9')
  ) then
    raise exception 'aspect_ratios is %', left(job.aspect_ratios::text, 80)
      using errcode = '23514', constraint = 'aspect_ratios_known_and_distinct', detail = 'aspect_ratios_invalid',
        hint = 'Pass one or more of 1:1, 4:5, 9:16, 3:4 and 16:9, each once.';
  end if;
  if job.variants * slides * ratios > 100 then
    raise exception 'the job has % images: % variants x % slides x % aspect ratios', job.variants * slides * ratios, job.variants, slides, ratios
      using errcode = '23514', constraint = 'total_images_at_most_100', detail = 'too_many_images',
        hint = 'A job has at most 100: send several jobs with the same batch_id.';
  end if;
  perform carousel_private.require_room_in_prompt(job);
end
$$;
