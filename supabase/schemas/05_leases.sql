-- Leases and workers: who works on what, and until when.

create table carousel_private.leases (
  job_id uuid not null,
  token bigint generated always as identity not null,
  user_id uuid not null,
  images integer not null,
  worker_id uuid not null,
  attempt integer not null,
  leased_at timestamptz default now() not null,
  leased_until timestamptz not null,
  constraint leases_pkey primary key (job_id)
) with (fillfactor=50);
alter table carousel_private.leases add constraint leases_job_id_fkey foreign key (job_id) references public.image_generation_jobs(id) on delete cascade;
comment on table carousel_private.leases is 'Permission to write a job, held by one worker for a limited time.';
comment on column carousel_private.leases.job_id is 'The job that is being worked on.';
comment on column carousel_private.leases.token is 'Fencing token, never used twice: a write with an older one touches nothing.';
comment on column carousel_private.leases.user_id is 'Owner of the job.';
comment on column carousel_private.leases.images is 'Weight of the job, counted against its owner''s next turn.';
comment on column carousel_private.leases.worker_id is 'Worker that holds it.';
comment on column carousel_private.leases.attempt is 'The job''s attempt that it belongs to; the job''s row has it once the work has begun.';
comment on column carousel_private.leases.leased_at is 'When the job was claimed.';
comment on column carousel_private.leases.leased_until is 'After this time, by the database''s clock, the job may be taken away.';

create index leases_of_user on carousel_private.leases (user_id);

grant select, insert, update, delete on carousel_private.leases to carousel_worker;

create table carousel_private.workers (
  id uuid not null,
  name text not null,
  version text not null,
  concurrency integer not null,
  running integer default 0 not null,
  state text default 'running' not null,
  started_at timestamptz default now() not null,
  seen_at timestamptz default now() not null,
  constraint workers_pkey primary key (id),
  constraint workers_state_check check ((state = any (array['running'::text, 'draining'::text, 'stopped'::text])))
);
comment on table carousel_private.workers is 'Worker processes, for the dashboard. Nothing depends on these rows.';
comment on column carousel_private.workers.id is 'Random for each process: a reused host name can''t revive a dead worker''s leases.';
comment on column carousel_private.workers.name is 'Host and process id.';
comment on column carousel_private.workers.version is 'Version of the program.';
comment on column carousel_private.workers.concurrency is 'Jobs that it works on at once, at most.';
comment on column carousel_private.workers.running is 'Jobs that it worked on when last seen.';
comment on column carousel_private.workers.state is 'running, draining (finishing, takes no more) or stopped.';
comment on column carousel_private.workers.started_at is 'When the process started.';
comment on column carousel_private.workers.seen_at is 'When it last reported.';

grant select, insert, update, delete on carousel_private.workers to carousel_worker;

create function carousel_private.announce_deleted_jobs() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from carousel_private.queue using removed where queue.job_id = removed.id;
  perform pg_notify('carousel_cancel', id::text) from removed where status = 'processing';
  return null;
end
$$;
comment on function carousel_private.announce_deleted_jobs()
  is 'Takes deleted jobs out of the queue, and tells the workers that a job they work on is gone.';
revoke execute on function carousel_private.announce_deleted_jobs() from public;
create trigger announce_deleted_jobs after delete on public.image_generation_jobs
  referencing old table as removed for each statement execute function carousel_private.announce_deleted_jobs();

create function carousel_private.resume_turn(job uuid) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
declare
  entry carousel_private.queue;
  own bigint;
begin
  select * into entry from carousel_private.queue where job_id = job for update skip locked;
  if not found or entry.turn is null then
    return;
  end if;
  -- Of those 64 at most have turns.
  select min(turn) into own from carousel_private.queue
    where user_id = entry.user_id and turn < 4611686018427387904 and job_id <> job;
  update carousel_private.queue set turn = least(carousel_private.first_turn(entry.user_id), own) / 4 * 4 + 1 where job_id = job;
end
$$;
comment on function carousel_private.resume_turn(uuid)
  is 'Lets a job that has begun go on before its owner''s others.';
revoke execute on function carousel_private.resume_turn(uuid) from public;
