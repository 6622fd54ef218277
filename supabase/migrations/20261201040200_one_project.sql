-- DATABASE_URL of one project with SUPABASE_URL of another: a copy has the same rows, so what proves that both are one is fresh.

select carousel_private.require_free('public.carousel_has_proof(uuid)');

create table carousel_private.proofs (
  nonce uuid primary key,
  made_at timestamptz not null default now()
);
create index proofs_by_time on carousel_private.proofs (made_at);
comment on table carousel_private.proofs is 'Random numbers that workers have written into this database, for its project''s API to be asked for. Forgotten after an hour.';
comment on column carousel_private.proofs.nonce is 'The number.';
comment on column carousel_private.proofs.made_at is 'When it was written.';
grant select, insert, delete on carousel_private.proofs to carousel_worker;

-- Volatile, so that it is asked of the database itself and of no replica.
create function public.carousel_has_proof(nonce uuid) returns boolean
language sql
volatile
security definer
set search_path = ''
as $$
  select exists (select from carousel_private.proofs proof where proof.nonce = carousel_has_proof.nonce)
$$;
comment on function public.carousel_has_proof(uuid) is 'Whether a worker has written this number into the database: proves to it that database and API are one project''s.';
revoke all on function public.carousel_has_proof(uuid) from public, anon, authenticated, service_role;
grant execute on function public.carousel_has_proof(uuid) to service_role;

notify pgrst, 'reload schema';
