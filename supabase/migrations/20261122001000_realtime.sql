-- What Realtime pushes to subscribed clients.

do $$
declare
  member text;
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  foreach member in array array['image_generation_jobs', 'generated_carousel_images', 'image_generation_templates'] loop
    if not exists (
      select from pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = member
    ) then
      execute format('alter publication supabase_realtime add table public.%I', member);
    end if;
  end loop;
end
$$;
