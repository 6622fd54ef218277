-- Templates: what a person asks for again.

create table public.image_generation_templates (
  id uuid default gen_random_uuid() not null,
  user_id uuid default auth.uid() not null,
  name text not null,
  description text,
  source_paths text[] not null,
  prompt text,
  slide_prompts text[] default '{}'::text[] not null,
  aspect_ratios text[] default '{1:1}'::text[] not null,
  variants integer default 1 not null,
  style jsonb default '{}'::jsonb not null,
  variables jsonb default '{}'::jsonb not null,
  tags text[] default '{}'::text[] not null,
  is_favorite boolean default false not null,
  version integer default 1 not null,
  use_count integer default 0 not null,
  last_used_at timestamptz,
  created_at timestamptz default now() not null,
  updated_at timestamptz default now() not null,
  slides_from text default 'prompts' not null,
  slide_sources jsonb,
  constraint image_generation_templates_pkey primary key (id),
  constraint image_generation_templates_user_id_fkey foreign key (user_id) references auth.users(id) on delete cascade,
  constraint name_1_to_200_characters check (name ~ '\S' and char_length(name) <= 200),
  constraint description_at_most_2000_characters check (char_length(description) <= 2000),
  constraint prompt_at_most_32000_characters check (char_length(prompt) <= 32000),
  constraint slide_prompts_at_most_100 check (cardinality(slide_prompts) <= 100),
  constraint variants_between_1_and_10 check (variants between 1 and 10),
  constraint style_is_a_small_object check (jsonb_typeof(style) = 'object' and octet_length(style::text) <= 8192),
  constraint style_is_shallow_with_ordinary_numbers check (
    not style @? '$.**{9 to last}' and not style @? '$.** ? (@.type() == "number" && (@ > 1e300 || @ < -1e300))'
  ),
  constraint variables_are_few_and_small check (
    jsonb_typeof(variables) = 'object'
    and octet_length(variables::text) <= 16384
    and jsonb_array_length(jsonb_path_query_array(variables, '$.*')) <= 50
  ),
  constraint variables_are_texts check (not variables @? 'strict $.* ? (@.type() != "string")'),
  constraint variables_have_plain_names check (not variables @? '$.keyvalue() ? (!(@.key like_regex "^[a-z][a-z0-9_]{0,49}$"))'),
  constraint lists_are_flat check (
    coalesce(array_ndims(source_paths), 1) = 1
    and coalesce(array_ndims(slide_prompts), 1) = 1
    and coalesce(array_ndims(aspect_ratios), 1) = 1
    and coalesce(array_ndims(tags), 1) = 1
  ),
  constraint tags_at_most_50 check (cardinality(tags) <= 50 and array_position(tags, null) is null),
  constraint version_positive check (version > 0),
  constraint use_count_not_negative check (use_count >= 0),
  constraint slides_from_known check (slides_from in ('prompts', 'sources')),
  constraint source_paths_1_to_100 check (cardinality(source_paths) between 1 and 100),
  constraint at_most_16_sources_a_slide check (
    cardinality(source_paths) <= 16 or slides_from = 'sources' or slide_sources is not null
  ),
  constraint slide_sources_belong_to_prompts check (slide_sources is null or slides_from = 'prompts'),
  constraint slide_sources_are_lists_of_numbers check (
    jsonb_typeof(slide_sources) = 'array'
    and not slide_sources @? 'strict $[*] ? (@.type() != "array")'
    and not slide_sources @? '$[*][*] ? (@.type() != "number" || @ < 1 || @ > 100)'
  ),
  constraint aspect_ratios_known_and_distinct check (
    cardinality(aspect_ratios) between 1 and 8
    and coalesce(
      cardinality(aspect_ratios) = ('1:1' = any (aspect_ratios))::integer + ('4:5' = any (aspect_ratios))::integer
        + ('9:16' = any (aspect_ratios))::integer + ('3:4' = any (aspect_ratios))::integer + ('16:9' = any (aspect_ratios))::integer
        + ('3:2' = any (aspect_ratios))::integer + ('2:3' = any (aspect_ratios))::integer + ('auto' = any (aspect_ratios))::integer,
      false
    )
  )
);
alter table public.image_generation_templates enable row level security;
comment on table public.image_generation_templates is 'Source images with the settings they were used with. A job with new sources makes one by itself.';
comment on column public.image_generation_templates.id is 'Primary key.';
comment on column public.image_generation_templates.user_id is 'Owner; filled with the signed-in user.';
comment on column public.image_generation_templates.name is 'What the gallery shows, 1 to 200 characters.';
comment on column public.image_generation_templates.description is 'Free text, at most 2000 characters.';
comment on column public.image_generation_templates.source_paths is 'Objects in the bucket generated-carousels, all in the owner''s folder: 1 to 16, or 100 where no slide sees more than 16 of them.';
comment on column public.image_generation_templates.prompt is 'Prompt that a job takes when it brings none. {{name}} in it stands for a variable.';
comment on column public.image_generation_templates.slide_prompts is 'One text a slide; empty for a single slide.';
comment on column public.image_generation_templates.aspect_ratios is 'Ratios that a job takes when it brings none: 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, auto.';
comment on column public.image_generation_templates.variants is 'Number of variants, 1 to 10.';
comment on column public.image_generation_templates.style is 'Style options as a JSON object.';
comment on column public.image_generation_templates.variables is 'Default values for {{name}} in prompt and slide_prompts, a JSON object of texts: at most 50 names like product_2, 16 kB in all.';
comment on column public.image_generation_templates.tags is 'Free words for search, at most 50.';
comment on column public.image_generation_templates.is_favorite is 'Marked by its owner.';
comment on column public.image_generation_templates.version is 'Counts the changes of what a job takes from it, from 1. Name, description, tags and favourite don''t count.';
comment on column public.image_generation_templates.use_count is 'Number of jobs that were made from it.';
comment on column public.image_generation_templates.last_used_at is 'When a job was last made from it.';
comment on column public.image_generation_templates.created_at is 'When the row was made.';
comment on column public.image_generation_templates.updated_at is 'When the row last changed.';
comment on column public.image_generation_templates.slides_from is 'Where the slides of a job come from that does not say: prompts or sources.';
comment on column public.image_generation_templates.slide_sources is 'Which sources go along with which slide of a job that says nothing of slides_from and slide_sources; null: all.';

create index image_generation_templates_of_user on public.image_generation_templates (user_id, created_at desc);
-- Finds the template that already holds the same sources.
create index image_generation_templates_by_sources
  on public.image_generation_templates (user_id, hash_array_extended(source_paths, 0));

revoke all on public.image_generation_templates from public, anon, authenticated, service_role;
grant select, delete on public.image_generation_templates to authenticated;
grant select, insert, update, delete on public.image_generation_templates to service_role;
grant select on public.image_generation_templates to carousel_worker;
grant insert (
  id, user_id, name, description, source_paths, prompt, slide_prompts, aspect_ratios, variants, style, variables, tags, is_favorite, slides_from,
  slide_sources
) on public.image_generation_templates to authenticated;
grant update (
  name, description, source_paths, prompt, slide_prompts, aspect_ratios, variants, style, variables, tags, is_favorite, slides_from, slide_sources
) on public.image_generation_templates to authenticated;

create policy "Owners see their templates" on public.image_generation_templates
  for select to authenticated using (user_id = (select auth.uid()));
create policy "Owners add templates" on public.image_generation_templates
  for insert to authenticated with check (user_id = (select auth.uid()));
create policy "Owners change their templates" on public.image_generation_templates
  for update to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
create policy "Owners delete their templates" on public.image_generation_templates
  for delete to authenticated using (user_id = (select auth.uid()));
create policy "The worker sees every template" on public.image_generation_templates
  for select to carousel_worker using (true);

create function carousel_private.check_template() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
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
comment on function carousel_private.check_template()
  is 'Refuses foreign paths and oversized slide prompts, keeps version and updated_at.';
revoke execute on function carousel_private.check_template() from public;
create trigger check_template before insert or update on public.image_generation_templates
  for each row execute function carousel_private.check_template();

-- A column that is computed when somebody asks for it: stored, it would make every row and every change as long again. No index on words
-- could serve a client, since row level security goes before an operator that may leak; what is searched are one person's templates.
create function public.search_text(template public.image_generation_templates) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select concat_ws(
    e'\n', template.name, template.description, array_to_string(template.tags, e'\n'), template.prompt,
    array_to_string(template.slide_prompts, e'\n')
  )
$$;
comment on function public.search_text(public.image_generation_templates)
  is 'Name, description, tags and prompts of a template, to search in: a filter on search_text, for example search_text=ilike.*mug*.';
revoke all on function public.search_text(public.image_generation_templates) from public, anon, authenticated, service_role;
grant execute on function public.search_text(public.image_generation_templates) to authenticated, service_role;

create trigger require_few_words before insert or update of name, description, tags, prompt, slide_prompts, style, variables
  on public.image_generation_templates
  for each row execute function carousel_private.require_few_words();
