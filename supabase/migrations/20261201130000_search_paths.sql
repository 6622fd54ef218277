-- An empty search path still looks for types and tables in pg_temp, and there first: whoever made a temporary type named uuid had its check
-- run by the next function of ours that names uuid, with the rights of that function's owner. Named last, pg_temp hides nothing.

do $$
declare
  ours regprocedure;
begin
  for ours in
    select oid from pg_catalog.pg_proc
    where pronamespace = 'carousel_private'::regnamespace
      or oid in ('public.search_text(public.image_generation_templates)'::regprocedure, 'public.carousel_has_proof(uuid)'::regprocedure)
  loop
    execute format('alter function %s set search_path = pg_catalog, pg_temp', ours);
  end loop;
end
$$;
