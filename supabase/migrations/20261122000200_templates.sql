-- Source images with the settings they were used with, to be used again.

create table public.image_generation_templates (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  name text not null,
  description text,
  source_paths text[] not null,
  prompt text,
  slide_prompts text[] not null default '{}',
  aspect_ratios text[] not null default '{1:1}',
  variants integer not null default 1,
  style jsonb not null default '{}',
  variables jsonb not null default '{}',
  tags text[] not null default '{}',
  is_favorite boolean not null default false,
  version integer not null default 1,
  use_count integer not null default 0,
  last_used_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint name_1_to_200_characters check (name ~ '\S' and char_length(name) <= 200),
  constraint description_at_most_2000_characters check (char_length(description) <= 2000),
  constraint source_paths_1_to_16 check (cardinality(source_paths) between 1 and 16),
  constraint prompt_at_most_32000_characters check (char_length(prompt) <= 32000),
  constraint slide_prompts_at_most_100 check (cardinality(slide_prompts) <= 100),
  constraint aspect_ratios_known_and_distinct check (
    -- Distinct: as many elements as known ratios among them. A null element makes the sum null, and a check passes null.
    cardinality(aspect_ratios) between 1 and 5
    and coalesce(
      cardinality(aspect_ratios) = ('1:1' = any (aspect_ratios))::integer + ('4:5' = any (aspect_ratios))::integer
        + ('9:16' = any (aspect_ratios))::integer + ('3:4' = any (aspect_ratios))::integer + ('16:9' = any (aspect_ratios))::integer,
      false
    )
  ),
  constraint variants_between_1_and_10 check (variants between 1 and 10),
  constraint style_is_a_small_object check (jsonb_typeof(style) = 'object' and octet_length(style::text) <= 8192),
  -- What programs without bignums and with a stack can read.
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
  -- PostgreSQL takes lists of lists for the same type.
  constraint lists_are_flat check (
    coalesce(array_ndims(source_paths), 1) = 1
    and coalesce(array_ndims(slide_prompts), 1) = 1
    and coalesce(array_ndims(aspect_ratios), 1) = 1
    and coalesce(array_ndims(tags), 1) = 1
  ),
  constraint tags_at_most_50 check (cardinality(tags) <= 50 and array_position(tags, null) is null),
  constraint version_positive check (version > 0),
  constraint use_count_not_negative check (use_count >= 0)
);

create index image_generation_templates_of_user on public.image_generation_templates (user_id, created_at desc);
-- Finds the template that already holds the same sources.
create index image_generation_templates_by_sources
  on public.image_generation_templates (user_id, hash_array_extended(source_paths, 0));

comment on table public.image_generation_templates is 'Source images with the settings they were used with. A job with new sources makes one by itself.';
comment on column public.image_generation_templates.id is 'Primary key.';
comment on column public.image_generation_templates.user_id is 'Owner; filled with the signed-in user.';
comment on column public.image_generation_templates.name is 'What the gallery shows, 1 to 200 characters.';
comment on column public.image_generation_templates.description is 'Free text, at most 2000 characters.';
comment on column public.image_generation_templates.source_paths is 'Objects in the bucket generated-carousels, 1 to 16, all in the owner''s folder.';
comment on column public.image_generation_templates.prompt is 'Prompt that a job takes when it brings none. {{name}} in it stands for a variable.';
comment on column public.image_generation_templates.slide_prompts is 'One text a slide; empty for a single slide.';
comment on column public.image_generation_templates.aspect_ratios is 'Ratios that a job takes when it brings none: 1:1, 4:5, 9:16, 3:4, 16:9.';
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

alter table public.image_generation_templates enable row level security;

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

revoke all on public.image_generation_templates from public, anon, authenticated, service_role;
grant select, delete on public.image_generation_templates to authenticated;
grant insert (id, name, description, source_paths, prompt, slide_prompts, aspect_ratios, variants, style, variables, tags, is_favorite)
  on public.image_generation_templates to authenticated;
grant update (name, description, source_paths, prompt, slide_prompts, aspect_ratios, variants, style, variables, tags, is_favorite)
  on public.image_generation_templates to authenticated;
grant select, insert, update, delete on public.image_generation_templates to service_role;
grant select on public.image_generation_templates to carousel_worker;

create function carousel_private.check_template() returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform carousel_private.require_own_paths(new.user_id, new.source_paths);
  perform carousel_private.require_slide_prompts(new.slide_prompts);
  -- What anybody writes into version is not asked.
  new.version := 1;
  if tg_op = 'UPDATE' then
    new.updated_at := now();
    new.version := old.version + (
      (new.source_paths, new.prompt, new.slide_prompts, new.aspect_ratios, new.variants, new.style, new.variables)
      is distinct from
      (old.source_paths, old.prompt, old.slide_prompts, old.aspect_ratios, old.variants, old.style, old.variables)
    )::integer;
  end if;
  return new;
end
$$;
comment on function carousel_private.check_template() is 'Refuses foreign paths and oversized slide prompts, keeps version and updated_at.';
revoke execute on function carousel_private.check_template() from public;

create trigger check_template before insert or update on public.image_generation_templates
  for each row execute function carousel_private.check_template();

-- A column that is computed when somebody asks for it: stored, it would make every row and every change as long again. No index on words
-- could serve a client, since row level security goes before an operator that may leak; what is searched are one person's templates.
create function public.search_text(template public.image_generation_templates) returns text
language sql
stable
set search_path = ''
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
