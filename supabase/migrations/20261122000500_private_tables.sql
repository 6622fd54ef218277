-- What the worker keeps for itself and for the operator.

-- A job is in the queue exactly while it is pending; triggers on the jobs table see to it. The queue is a narrow table of its own so
-- that a claim costs the same however many jobs are finished, and so that the jobs table needs no index on a column that changes.
-- It has no foreign key: a transaction that shifts a row twice would check it again, and wait for whoever deletes that job meanwhile.
create table carousel_private.queue (
  job_id uuid primary key,
  user_id uuid not null,
  priority integer not null,
  run_at timestamptz not null,
  images integer not null,
  turn bigint
);
create index queue_by_turn on carousel_private.queue (turn, job_id) where turn is not null;
create index queue_by_due_time on carousel_private.queue (run_at) where turn is null;
create index queue_of_user on carousel_private.queue (user_id, priority, turn desc);
comment on table carousel_private.queue is 'Pending jobs in the order of their turns (start-time fair queueing: a turn is a virtual time counted in images).';
comment on column carousel_private.queue.job_id is 'The pending job.';
comment on column carousel_private.queue.user_id is 'Its owner.';
comment on column carousel_private.queue.priority is 'Order among one user''s jobs, higher first.';
comment on column carousel_private.queue.run_at is 'Not before this time.';
comment on column carousel_private.queue.images is 'Weight of the job: its number of images.';
comment on column carousel_private.queue.turn is 'Virtual time at which it is served, lowest first; null until it is due.';

create table carousel_private.leases (
  job_id uuid primary key references public.image_generation_jobs (id) on delete cascade,
  token bigint not null generated always as identity,
  user_id uuid not null,
  images integer not null,
  worker_id uuid not null,
  attempt integer not null,
  leased_at timestamptz not null default now(),
  leased_until timestamptz not null
)
with (fillfactor = 50);
create index leases_of_user on carousel_private.leases (user_id);
comment on table carousel_private.leases is 'Permission to write a job, held by one worker for a limited time.';
comment on column carousel_private.leases.job_id is 'The job that is being worked on.';
comment on column carousel_private.leases.token is 'Fencing token, never used twice: a write with an older one touches nothing.';
comment on column carousel_private.leases.user_id is 'Owner of the job.';
comment on column carousel_private.leases.images is 'Weight of the job, counted against its owner''s next turn.';
comment on column carousel_private.leases.worker_id is 'Worker that holds it.';
comment on column carousel_private.leases.attempt is 'The job''s attempt that it belongs to.';
comment on column carousel_private.leases.leased_at is 'When the job was claimed.';
comment on column carousel_private.leases.leased_until is 'After this time, by the database''s clock, the job may be taken away.';

create table carousel_private.workers (
  id uuid primary key,
  name text not null,
  version text not null,
  concurrency integer not null,
  running integer not null default 0,
  state text not null default 'running' check (state in ('running', 'draining', 'stopped')),
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now()
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

create table carousel_private.provider_calls (
  id bigint primary key generated always as identity,
  job_id uuid not null,
  image_id uuid not null,
  user_id uuid not null,
  worker_id uuid not null,
  attempt integer not null,
  model text not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  outcome text,
  request_id text,
  usage jsonb,
  cost_usd numeric(12, 6),
  constraint finished_exactly_with_an_outcome check ((finished_at is not null) = (outcome is not null))
);
create index provider_calls_of_job on carousel_private.provider_calls (job_id);
create index provider_calls_of_user on carousel_private.provider_calls (user_id, started_at);
create index provider_calls_by_time on carousel_private.provider_calls (started_at);
comment on table carousel_private.provider_calls is 'A row before each paid call, finished after it. A call without an end was perhaps paid for nothing. Outlives its job, for the books.';
comment on column carousel_private.provider_calls.id is 'Primary key.';
comment on column carousel_private.provider_calls.job_id is 'Job that it was made for; the job may be gone.';
comment on column carousel_private.provider_calls.image_id is 'Image that it was made for; the image may be gone.';
comment on column carousel_private.provider_calls.user_id is 'Who it was made for.';
comment on column carousel_private.provider_calls.worker_id is 'Worker that made it.';
comment on column carousel_private.provider_calls.attempt is 'The job''s attempt.';
comment on column carousel_private.provider_calls.model is 'Model that was asked.';
comment on column carousel_private.provider_calls.started_at is 'Before the request was sent.';
comment on column carousel_private.provider_calls.finished_at is 'When its outcome was known.';
comment on column carousel_private.provider_calls.outcome is 'completed, or the code of the failure.';
comment on column carousel_private.provider_calls.request_id is 'The provider''s id of the call.';
comment on column carousel_private.provider_calls.usage is 'Tokens as the provider reported them.';
comment on column carousel_private.provider_calls.cost_usd is 'Cost in dollars; null when unknown.';

create table carousel_private.storage_cleanup (
  id bigint primary key generated always as identity,
  path text not null,
  reason text not null,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);
create index storage_cleanup_by_due_time on carousel_private.storage_cleanup (due_at);
create index storage_cleanup_by_path on carousel_private.storage_cleanup (path);
comment on table carousel_private.storage_cleanup is 'Objects of the bucket whose rows are gone. The worker deletes them through the Storage API.';
comment on column carousel_private.storage_cleanup.id is 'Primary key.';
comment on column carousel_private.storage_cleanup.path is 'Object in the bucket generated-carousels.';
comment on column carousel_private.storage_cleanup.reason is 'Why it is to go.';
comment on column carousel_private.storage_cleanup.attempts is 'How often its removal was begun.';
comment on column carousel_private.storage_cleanup.due_at is 'Not before this time.';
comment on column carousel_private.storage_cleanup.created_at is 'When its row went.';

create table carousel_private.limits (
  id bigint primary key generated always as identity,
  user_id uuid references auth.users (id) on delete cascade,
  max_active_jobs integer check (max_active_jobs >= 0),
  max_images_a_day integer check (max_images_a_day >= 0),
  max_usd_a_month numeric(12, 2) check (max_usd_a_month >= 0),
  constraint one_row_a_user unique nulls not distinct (user_id)
);
comment on table carousel_private.limits is 'What one user may ask for. The row without a user holds for everyone who has no row; without any row there is no limit.';
comment on column carousel_private.limits.id is 'Primary key.';
comment on column carousel_private.limits.user_id is 'User, or null for everyone without a row.';
comment on column carousel_private.limits.max_active_jobs is 'Jobs pending or processing at once; null for no limit.';
comment on column carousel_private.limits.max_images_a_day is 'Images asked for in 24 hours; null for no limit.';
comment on column carousel_private.limits.max_usd_a_month is 'Dollars spent since the first of the month, UTC; null for no limit.';

create table carousel_private.provider_budget (
  provider text primary key,
  images_per_minute integer check (images_per_minute > 0),
  next_at timestamptz not null default now(),
  paused_until timestamptz,
  paused_reason text,
  updated_at timestamptz not null default now()
);
comment on table carousel_private.provider_budget is 'The rate that every worker with the same provider key shares.';
comment on column carousel_private.provider_budget.provider is 'Name of the provider key.';
comment on column carousel_private.provider_budget.images_per_minute is 'Calls a minute over all workers; null for no limit.';
comment on column carousel_private.provider_budget.next_at is 'When the next call may start.';
comment on column carousel_private.provider_budget.paused_until is 'No claims before this time.';
comment on column carousel_private.provider_budget.paused_reason is 'Why, in words for the operator.';
comment on column carousel_private.provider_budget.updated_at is 'When the row last changed.';

grant select, insert, update, delete on
  carousel_private.queue, carousel_private.leases, carousel_private.workers, carousel_private.provider_calls,
  carousel_private.storage_cleanup, carousel_private.provider_budget
  to carousel_worker;
grant select on carousel_private.limits to carousel_worker;
