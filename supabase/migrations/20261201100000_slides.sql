-- A slide for each source, any sources for any slide, and the shape of the photo itself.

-- Both columns are there for the rows of before without a table being written: what they were made with is the constant.
alter table public.image_generation_jobs
  add column slides_from text not null default 'prompts',
  add column slide_sources jsonb;
-- From here on "left out" is visible to the trigger, which asks the template.
alter table public.image_generation_jobs alter column slides_from set default nullif('', '');
alter table public.image_generation_templates
  add column slides_from text not null default 'prompts',
  add column slide_sources jsonb;

comment on column public.image_generation_jobs.slides_from is 'prompts: a slide for each slide prompt, or a single one, and each sees all sources. sources: each source becomes a slide.';
comment on column public.image_generation_jobs.slide_sources is 'For each slide, which sources go along with it: a list with a list of numbers, from 1, for each. Null: all.';
comment on column public.image_generation_jobs.source_paths is 'Objects in the bucket generated-carousels, all in the owner''s folder: 1 to 16, or 100 where no slide sees more than 16 of them.';
comment on column public.image_generation_jobs.slide_prompts is 'One text a slide, added to the prompt; empty for a single slide, or for slides that share the prompt.';
comment on column public.image_generation_jobs.aspect_ratios is 'Ratios to make: 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, and auto for each slide as its own photo.';
comment on column public.image_generation_templates.slides_from is 'Where the slides of a job come from that does not say: prompts or sources.';
comment on column public.image_generation_templates.slide_sources is 'Which sources go along with which slide of a job that says nothing of slides_from and slide_sources; null: all.';
comment on column public.image_generation_templates.source_paths is 'Objects in the bucket generated-carousels, all in the owner''s folder: 1 to 16, or 100 where no slide sees more than 16 of them.';
comment on column public.image_generation_templates.aspect_ratios is 'Ratios that a job takes when it brings none: 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, auto.';
comment on column public.generated_carousel_images.aspect_ratio is '1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, or auto: width and height say what came of it.';

grant insert (slides_from, slide_sources) on public.image_generation_jobs to authenticated;
grant insert (slides_from, slide_sources) on public.image_generation_templates to authenticated;
grant update (slides_from, slide_sources) on public.image_generation_templates to authenticated;

-- Not valid: the rows of before fulfil what is wider now, and are looked at in the next migration, while others go on writing.
alter table public.image_generation_jobs
  drop constraint source_paths_1_to_16,
  drop constraint aspect_ratios_known_and_distinct,
  drop constraint total_images_is_what_was_asked_for,
  add constraint slides_from_known check (slides_from in ('prompts', 'sources')) not valid,
  add constraint source_paths_1_to_100 check (cardinality(source_paths) between 1 and 100) not valid,
  add constraint at_most_16_sources_a_slide check (
    cardinality(source_paths) <= 16 or slides_from = 'sources' or slide_sources is not null
  ) not valid,
  add constraint slide_sources_belong_to_prompts check (slide_sources is null or slides_from = 'prompts') not valid,
  add constraint slide_sources_are_lists_of_numbers check (
    jsonb_typeof(slide_sources) = 'array'
    and not slide_sources @? 'strict $[*] ? (@.type() != "array")'
    and not slide_sources @? '$[*][*] ? (@.type() != "number" || @ < 1 || @ > 100)'
  ) not valid,
  add constraint aspect_ratios_known_and_distinct check (
    -- Distinct: as many elements as known ratios among them. A null element makes the sum null, and a check passes null.
    cardinality(aspect_ratios) between 1 and 8
    and coalesce(
      cardinality(aspect_ratios) = ('1:1' = any (aspect_ratios))::integer + ('4:5' = any (aspect_ratios))::integer
        + ('9:16' = any (aspect_ratios))::integer + ('3:4' = any (aspect_ratios))::integer + ('16:9' = any (aspect_ratios))::integer
        + ('3:2' = any (aspect_ratios))::integer + ('2:3' = any (aspect_ratios))::integer + ('auto' = any (aspect_ratios))::integer,
      false
    )
  ) not valid,
  add constraint total_images_is_what_was_asked_for check (
    total_images = variants * cardinality(aspect_ratios)
      * case slides_from when 'sources' then cardinality(source_paths) else greatest(1, cardinality(slide_prompts)) end
  ) not valid;

alter table public.image_generation_templates
  drop constraint source_paths_1_to_16,
  drop constraint aspect_ratios_known_and_distinct,
  add constraint slides_from_known check (slides_from in ('prompts', 'sources')) not valid,
  add constraint source_paths_1_to_100 check (cardinality(source_paths) between 1 and 100) not valid,
  add constraint at_most_16_sources_a_slide check (
    cardinality(source_paths) <= 16 or slides_from = 'sources' or slide_sources is not null
  ) not valid,
  add constraint slide_sources_belong_to_prompts check (slide_sources is null or slides_from = 'prompts') not valid,
  add constraint slide_sources_are_lists_of_numbers check (
    jsonb_typeof(slide_sources) = 'array'
    and not slide_sources @? 'strict $[*] ? (@.type() != "array")'
    and not slide_sources @? '$[*][*] ? (@.type() != "number" || @ < 1 || @ > 100)'
  ) not valid,
  add constraint aspect_ratios_known_and_distinct check (
    cardinality(aspect_ratios) between 1 and 8
    and coalesce(
      cardinality(aspect_ratios) = ('1:1' = any (aspect_ratios))::integer + ('4:5' = any (aspect_ratios))::integer
        + ('9:16' = any (aspect_ratios))::integer + ('3:4' = any (aspect_ratios))::integer + ('16:9' = any (aspect_ratios))::integer
        + ('3:2' = any (aspect_ratios))::integer + ('2:3' = any (aspect_ratios))::integer + ('auto' = any (aspect_ratios))::integer,
      false
    )
  ) not valid;

alter table public.generated_carousel_images
  drop constraint aspect_ratio_known,
  add constraint aspect_ratio_known check (aspect_ratio in ('1:1', '4:5', '9:16', '3:4', '16:9', '3:2', '2:3', 'auto')) not valid;

create function carousel_private.count_slides(slides_from text, source_paths text[], slide_prompts text[]) returns integer
language sql
immutable
set search_path = ''
as $$
  select case slides_from when 'sources' then cardinality(source_paths) else greatest(1, cardinality(slide_prompts)) end
$$;
comment on function carousel_private.count_slides(text, text[], text[]) is 'How many slides a carousel of these has.';
revoke execute on function carousel_private.count_slides(text, text[], text[]) from public;

create function carousel_private.require_slides(
  slides_from text, source_paths text[], slide_prompts text[], slide_sources jsonb
) returns void
language plpgsql
set search_path = ''
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
comment on function carousel_private.require_slides(text, text[], text[], jsonb) is 'Refuses sources, slide prompts and slide_sources that don''t make slides together.';
revoke execute on function carousel_private.require_slides(text, text[], text[], jsonb) from public;

create or replace function carousel_private.require_room_in_prompt(job public.image_generation_jobs) returns void
language plpgsql
set search_path = ''
as $$
declare
  -- What the provider takes.
  most constant integer := 32000;
  -- Between two parts stands an empty line.
  gap constant integer := 2;
  blanks constant text := e' \t\r\n';
  slides constant integer := carousel_private.count_slides(job.slides_from, job.source_paths, job.slide_prompts);
  -- The longest own shape, which is told in pixels.
  pixels constant text := '0000x0000';
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
  added := char_length('Compose it for a frame of .') + (select max(char_length(case ratio when 'auto' then pixels else ratio end)) from unnest(job.aspect_ratios) as ratio)
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
      from unnest(case cardinality(job.slide_prompts) when 0 then array_fill(''::text, array[slides]) else job.slide_prompts end) with ordinality as slide (words, place)
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
create or replace function carousel_private.require_makeable(job public.image_generation_jobs) returns void
language plpgsql
set search_path = ''
as $$
declare
  slides integer := carousel_private.count_slides(job.slides_from, job.source_paths, job.slide_prompts);
  ratios integer := cardinality(job.aspect_ratios);
begin
  if job.prompt !~ '\S'
    and (cardinality(job.slide_prompts) = 0 or exists (select from unnest(job.slide_prompts) as words where words !~ '\S'))
  then
    raise exception 'the job has no prompt'
      using errcode = '23514', constraint = 'prompt_or_slide_prompts_given', detail = 'prompt_missing',
        hint = 'Pass prompt, or slide_prompts with words for every slide.';
  end if;
  if cardinality(job.source_paths) = 0 then
    raise exception 'the job has 0 source images'
      using errcode = '23514', constraint = 'source_paths_1_to_100', detail = 'sources_missing',
        hint = 'Pass source_paths with 1 to 16 uploaded images, or template_id.';
  end if;
  if array_ndims(job.source_paths) = 1 and coalesce(array_ndims(job.slide_prompts), 1) = 1 then
    perform carousel_private.require_slides(job.slides_from, job.source_paths, job.slide_prompts, job.slide_sources);
  end if;
  if job.variants not between 1 and 10 then
    raise exception 'variants is %', job.variants
      using errcode = '23514', constraint = 'variants_between_1_and_10', detail = 'variants_out_of_range', hint = 'Pass 1 to 10.';
  end if;
  if ratios = 0 or ratios <> (
    select count(distinct ratio) from unnest(job.aspect_ratios) as ratio
    where ratio in ('1:1', '4:5', '9:16', '3:4', '16:9', '3:2', '2:3', 'auto')
  ) then
    raise exception 'aspect_ratios is %', left(job.aspect_ratios::text, 80)
      using errcode = '23514', constraint = 'aspect_ratios_known_and_distinct', detail = 'aspect_ratios_invalid',
        hint = 'Pass one or more of 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3 and auto, each once.';
  end if;
  if job.variants * slides * ratios > 100 then
    raise exception 'the job has % images: % variants x % slides x % aspect ratios', job.variants * slides * ratios, job.variants, slides, ratios
      using errcode = '23514', constraint = 'total_images_at_most_100', detail = 'too_many_images',
        hint = 'A job has at most 100: send several jobs with the same batch_id.';
  end if;
  perform carousel_private.require_room_in_prompt(job);
end
$$;

create or replace function carousel_private.use_template_of_sources(
  job public.image_generation_jobs, raw public.image_generation_jobs
) returns public.image_generation_templates
language plpgsql
set search_path = ''
as $$
declare
  blanks constant text := e' \t\r\n';
  template public.image_generation_templates;
begin
  select * into template from public.image_generation_templates
    where user_id = job.user_id
      and hash_array_extended(source_paths, 0) = hash_array_extended(job.source_paths, 0)
      and source_paths = job.source_paths
    order by created_at, id limit 1
    for no key update;
  if found then
    update public.image_generation_templates set use_count = use_count + 1, last_used_at = now() where id = template.id;
    return template;
  end if;
  begin
    insert into public.image_generation_templates (
      user_id, name, source_paths, prompt, slide_prompts, slides_from, slide_sources, aspect_ratios, variants, style, variables,
      use_count, last_used_at
    ) values (
      job.user_id,
      left(coalesce(
        nullif(btrim(job.title, blanks), ''), nullif(btrim(left(btrim(job.prompt, blanks), 60), blanks), ''),
        'Carousel of ' || to_char(now(), 'FMDD Mon YYYY')
      ), 200),
      raw.source_paths, raw.prompt, raw.slide_prompts, raw.slides_from, raw.slide_sources, raw.aspect_ratios, raw.variants, raw.style,
      raw.variables, 1, now()
    ) returning * into template;
  exception
    when check_violation then
      -- The job breaks the same rule, and its own constraint names the table that the client wrote to; or the words fit only once
      -- their variables are filled in.
      return null;
  end;
  return template;
end
$$;

create or replace function carousel_private.prepare_job() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  template public.image_generation_templates;
  raw public.image_generation_jobs;
begin
  if new.user_id is null then
    raise exception 'the job has no user'
      using errcode = '23502', detail = 'user_missing', hint = 'Sign in, or name user_id when you insert with the secret key.';
  end if;
  if new.template_id is not null then
    select * into template from public.image_generation_templates where id = new.template_id and user_id = new.user_id;
    if not found then
      raise exception 'template % is not among your templates', new.template_id
        using errcode = '42501', detail = 'template_not_found', hint = 'Read image_generation_templates for the ids that you can use.';
    end if;
  end if;

  new.prompt := coalesce(new.prompt, template.prompt, '');
  new.slide_prompts := coalesce(new.slide_prompts, template.slide_prompts, '{}');
  new.source_paths := coalesce(new.source_paths, template.source_paths, '{}');
  -- Who says where the slides come from says all of it.
  new.slide_sources := coalesce(nullif(new.slide_sources, 'null'), case when new.slides_from is null then template.slide_sources end);
  new.slides_from := coalesce(new.slides_from, template.slides_from, 'prompts');
  new.aspect_ratios := coalesce(new.aspect_ratios, template.aspect_ratios, '{1:1}');
  new.variants := coalesce(new.variants, template.variants, 1);
  new.style := coalesce(new.style, template.style, '{}');
  new.variables := coalesce(template.variables, '{}') || coalesce(new.variables, '{}');
  new.partial_previews := coalesce(new.partial_previews, 0);
  new.priority := coalesce(new.priority, 0);
  new.run_at := coalesce(new.run_at, now());
  raw := new;
  new.prompt := carousel_private.fill_in(new.prompt, new.variables);
  -- Other shapes, and too many, are refused as they came.
  if array_ndims(new.slide_prompts) = 1 and cardinality(new.slide_prompts) <= 100 then
    new.slide_prompts := array(
      select carousel_private.fill_in(words, new.variables)
      from unnest(new.slide_prompts) with ordinality as slide (words, place) order by place
    );
  end if;

  perform carousel_private.require_makeable(new);
  new.total_images := new.variants * cardinality(new.aspect_ratios)
    * carousel_private.count_slides(new.slides_from, new.source_paths, new.slide_prompts);
  perform carousel_private.require_own_paths(new.user_id, new.source_paths);
  perform carousel_private.require_slide_prompts(new.slide_prompts);

  -- One user's inserts take their turn, so that two at once don't make the same template twice.
  perform pg_advisory_xact_lock(hashtextextended('carousel user ' || new.user_id::text, 0));
  -- A repeated request is about to end at its unique key: it is not another use of its template, nor counted against a limit.
  -- What is another's is told no sooner than by the key: before it everything is as for an id that nobody has.
  if exists (select from public.image_generation_jobs where id = new.id and user_id = new.user_id)
    or exists (select from public.image_generation_jobs where user_id = new.user_id and idempotency_key = new.idempotency_key)
  then
    return new;
  end if;
  perform carousel_private.require_within_limits(new.id, new.user_id, new.total_images);
  if new.template_id is null then
    template := carousel_private.use_template_of_sources(new, raw);
  else
    update public.image_generation_templates set use_count = use_count + 1, last_used_at = now() where id = template.id;
  end if;
  new.template_id := template.id;
  new.template_version := template.version;
  return new;
end
$$;

create or replace function carousel_private.check_template() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform carousel_private.require_own_paths(new.user_id, new.source_paths);
  perform carousel_private.require_slide_prompts(new.slide_prompts);
  new.slide_sources := nullif(new.slide_sources, 'null');
  -- Other shapes, and none, are refused by their constraints.
  if array_ndims(new.source_paths) = 1 and coalesce(array_ndims(new.slide_prompts), 1) = 1 then
    perform carousel_private.require_slides(new.slides_from, new.source_paths, new.slide_prompts, new.slide_sources);
  end if;
  -- What anybody writes into version is not asked.
  new.version := 1;
  if tg_op = 'UPDATE' then
    new.updated_at := now();
    new.version := old.version + (
      (
        new.source_paths, new.prompt, new.slide_prompts, new.slides_from, new.slide_sources, new.aspect_ratios, new.variants, new.style,
        new.variables
      )
      is distinct from
      (
        old.source_paths, old.prompt, old.slide_prompts, old.slides_from, old.slide_sources, old.aspect_ratios, old.variants, old.style,
        old.variables
      )
    )::integer;
  end if;
  return new;
end
$$;
