-- Nearly every frontend on supabase-js writes user_id into what it inserts: its own is taken, another's is refused.

create function carousel_private.admit_owner() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Before anything is looked up for that user: a policy would refuse the row only after its other triggers. Nobody's token is the secret key's.
  if new.user_id <> auth.uid() then
    raise exception 'user_id is not your own'
      using errcode = '42501', detail = 'user_foreign', hint = 'Leave user_id out: it is filled with the signed-in user.';
  end if;
  return new;
end
$$;
comment on function carousel_private.admit_owner() is 'Refuses rows that a signed-in person adds for somebody else. Its triggers come before all that look something up.';
revoke execute on function carousel_private.admit_owner() from public;

create trigger admit_owner before insert on public.image_generation_jobs
  for each row execute function carousel_private.admit_owner();
create trigger admit_owner before insert on public.image_generation_templates
  for each row execute function carousel_private.admit_owner();
create trigger admit_owner before insert on public.carousel_uploads
  for each row execute function carousel_private.admit_owner();

grant insert (user_id) on public.image_generation_jobs to authenticated;
grant insert (user_id) on public.image_generation_templates to authenticated;
grant insert (user_id) on public.carousel_uploads to authenticated;
