-- What an operator looks at in the dashboard.

create view carousel_private.queue_health with (security_invoker = true) as
select
  queue.waiting,
  queue.waiting_images,
  queue.waiting_users,
  queue.oldest_waiting_since,
  now() - queue.oldest_waiting_since as oldest_waiting,
  lease.running,
  lease.running_images,
  lease.lost,
  queue.scheduled,
  queue.next_scheduled_at,
  pause.paused_until,
  pause.paused_reason
from (
  select
    count(*) filter (where queue.run_at <= now()) as waiting,
    coalesce(sum(queue.images) filter (where queue.run_at <= now()), 0) as waiting_images,
    count(distinct queue.user_id) filter (where queue.run_at <= now()) as waiting_users,
    -- A client may set run_at to long ago.
    min(greatest(queue.run_at, job.created_at)) filter (where queue.run_at <= now()) as oldest_waiting_since,
    count(*) filter (where queue.run_at > now()) as scheduled,
    min(queue.run_at) filter (where queue.run_at > now()) as next_scheduled_at
  from carousel_private.queue
  join public.image_generation_jobs job on job.id = queue.job_id
) as queue
cross join (
  select
    count(*) filter (where leased_until >= now()) as running,
    coalesce(sum(images) filter (where leased_until >= now()), 0) as running_images,
    count(*) filter (where leased_until < now()) as lost
  from carousel_private.leases
) as lease
left join (
  select paused_until, paused_reason
  from carousel_private.provider_budget
  where paused_until > now()
  order by paused_until desc
  limit 1
) as pause on true;
comment on view carousel_private.queue_health is 'How the queue stands, in one row. Alarm on oldest_waiting, lost and paused_until.';
comment on column carousel_private.queue_health.waiting is 'Jobs that could start now.';
comment on column carousel_private.queue_health.waiting_images is 'Images of these jobs.';
comment on column carousel_private.queue_health.waiting_users is 'Whose jobs they are: number of users.';
comment on column carousel_private.queue_health.oldest_waiting_since is 'Since when the first of them waits; null when none does.';
comment on column carousel_private.queue_health.oldest_waiting is 'For how long it waits.';
comment on column carousel_private.queue_health.running is 'Jobs that a worker works on.';
comment on column carousel_private.queue_health.running_images is 'Images of these jobs.';
comment on column carousel_private.queue_health.lost is 'Jobs whose worker was lost and that no other one has taken back yet; more than a minute above 0: no worker lives.';
comment on column carousel_private.queue_health.scheduled is 'Jobs that are meant for later, or wait before they are tried again.';
comment on column carousel_private.queue_health.next_scheduled_at is 'When the first of them is due.';
comment on column carousel_private.queue_health.paused_until is 'Until when the provider or Storage is left alone; null when neither is.';
comment on column carousel_private.queue_health.paused_reason is 'Why, in words for the operator.';

grant select on carousel_private.queue_health to carousel_worker;

create view carousel_private.failures_by_code with (security_invoker = true) as
select
  code,
  count(job_id) as jobs,
  count(image_id) as images,
  count(call_id) as calls,
  count(distinct user_id) as users,
  max(failed_at) as last_at
from (
  select error_code as code, id as job_id, null::uuid as image_id, null::bigint as call_id, user_id, finished_at as failed_at
    from public.image_generation_jobs
    where error_code is not null and finished_at > now() - interval '24 hours'
  union all
  select image.error_code, null, image.id, null, image.user_id, coalesce(job.finished_at, job.updated_at)
    from public.generated_carousel_images image
    join public.image_generation_jobs job on job.id = image.job_id
    where image.status = 'failed' and coalesce(job.finished_at, job.updated_at) > now() - interval '24 hours'
  union all
  select outcome, null, null, id, user_id, finished_at
    from carousel_private.provider_calls
    where outcome <> 'completed' and started_at > now() - interval '24 hours'
) as failure
group by code;
comment on view carousel_private.failures_by_code is 'What failed in the last 24 hours, by code. The README says who mends what.';
comment on column carousel_private.failures_by_code.code is 'Stable code of the failure.';
comment on column carousel_private.failures_by_code.jobs is 'Jobs that ended with it.';
comment on column carousel_private.failures_by_code.images is 'Images that failed with it.';
comment on column carousel_private.failures_by_code.calls is 'Calls to the provider that ended with it; most are tried again.';
comment on column carousel_private.failures_by_code.users is 'Number of users who met it.';
comment on column carousel_private.failures_by_code.last_at is 'When it last happened.';

grant select on carousel_private.failures_by_code to carousel_worker;

create view carousel_private.worker_health with (security_invoker = true) as
select
  worker.id,
  worker.name,
  worker.version,
  case
    when worker.state = 'stopped' then 'stopped'
    when worker.seen_at < now() - interval '1 minute' and held.leases = 0 then 'silent'
    when worker.state = 'draining' then 'draining'
    else 'alive'
  end as health,
  held.leases as running,
  worker.concurrency,
  worker.started_at,
  worker.seen_at,
  now() - worker.seen_at as seen_ago
from carousel_private.workers worker
cross join lateral (
  select count(*) as leases from carousel_private.leases lease where lease.worker_id = worker.id and lease.leased_until >= now()
) as held
where worker.seen_at > now() - interval '7 days';
comment on view carousel_private.worker_health is 'Workers of the last seven days, and whether they live.';
comment on column carousel_private.worker_health.id is 'Random for each process.';
comment on column carousel_private.worker_health.name is 'Host and process id.';
comment on column carousel_private.worker_health.version is 'Version of the program.';
comment on column carousel_private.worker_health.health is 'alive, draining (finishing, takes no more), stopped, or silent: no word for a minute and no lease. A worker reports every CAROUSEL_POLL_SECONDS.';
comment on column carousel_private.worker_health.running is 'Jobs that it holds now.';
comment on column carousel_private.worker_health.concurrency is 'Jobs that it works on at once, at most.';
comment on column carousel_private.worker_health.started_at is 'When the process started.';
comment on column carousel_private.worker_health.seen_at is 'When it last reported.';
comment on column carousel_private.worker_health.seen_ago is 'How long ago that was.';

grant select on carousel_private.worker_health to carousel_worker;

create view carousel_private.spend_by_day with (security_invoker = true) as
select
  (started_at at time zone 'utc')::date as day,
  model,
  count(*) as calls,
  count(*) filter (where outcome = 'completed') as images,
  count(*) filter (where outcome <> 'completed') as failed,
  count(*) filter (where outcome is null) as open,
  count(*) filter (where outcome = 'completed' and cost_usd is null) as unpriced,
  coalesce(sum(cost_usd), 0) as cost_usd
from carousel_private.provider_calls
group by day, model;
comment on view carousel_private.spend_by_day is 'What calls to the provider cost, by day (UTC) and model.';
comment on column carousel_private.spend_by_day.day is 'Day on which the calls were made, UTC.';
comment on column carousel_private.spend_by_day.model is 'Model that was asked.';
comment on column carousel_private.spend_by_day.calls is 'Calls that were made.';
comment on column carousel_private.spend_by_day.images is 'Calls that brought an image.';
comment on column carousel_private.spend_by_day.failed is 'Calls that brought none.';
comment on column carousel_private.spend_by_day.open is 'Calls without an end: running, or perhaps paid for nothing; see open_calls.';
comment on column carousel_private.spend_by_day.unpriced is 'Images whose cost is not known: CAROUSEL_PRICES lacks the model, or the answer had no usage.';
comment on column carousel_private.spend_by_day.cost_usd is 'Dollars, as far as they are known.';

grant select on carousel_private.spend_by_day to carousel_worker;

create view carousel_private.spend_by_user with (security_invoker = true) as
select
  spend.month,
  spend.user_id,
  spend.jobs,
  spend.calls,
  spend.images,
  spend.cost_usd,
  allowed.max_usd_a_month
from (
  select
    date_trunc('month', started_at at time zone 'utc')::date as month,
    user_id,
    count(distinct job_id) as jobs,
    count(*) as calls,
    count(*) filter (where outcome = 'completed') as images,
    coalesce(sum(cost_usd), 0) as cost_usd
  from carousel_private.provider_calls
  group by 1, user_id
) as spend
left join lateral (
  select max_usd_a_month
  from carousel_private.limits
  where limits.user_id = spend.user_id or limits.user_id is null
  order by limits.user_id nulls last
  limit 1
) as allowed on true;
comment on view carousel_private.spend_by_user is 'What calls to the provider cost, by month (UTC) and user.';
comment on column carousel_private.spend_by_user.month is 'First day of the month, UTC.';
comment on column carousel_private.spend_by_user.user_id is 'Who the calls were made for; the account may be gone.';
comment on column carousel_private.spend_by_user.jobs is 'Jobs that calls were made for.';
comment on column carousel_private.spend_by_user.calls is 'Calls that were made.';
comment on column carousel_private.spend_by_user.images is 'Calls that brought an image.';
comment on column carousel_private.spend_by_user.cost_usd is 'Dollars, as far as they are known.';
comment on column carousel_private.spend_by_user.max_usd_a_month is 'The user''s budget as it is today; null for none.';

grant select on carousel_private.spend_by_user to carousel_worker;

create view carousel_private.open_calls with (security_invoker = true) as
select
  call.id,
  case when lease.job_id is null then 'perhaps paid for nothing' else 'running' end as state,
  call.started_at,
  now() - call.started_at as age,
  call.model,
  call.user_id,
  call.job_id,
  call.image_id,
  call.attempt,
  coalesce(worker.name, call.worker_id::text) as worker
from carousel_private.provider_calls call
left join carousel_private.leases lease
  on lease.job_id = call.job_id
    and lease.worker_id = call.worker_id
    and lease.attempt = call.attempt
    and lease.leased_until >= now()
left join carousel_private.workers worker on worker.id = call.worker_id
where call.finished_at is null;
comment on view carousel_private.open_calls is 'Calls to the provider without an end: running, or perhaps paid for nothing since their worker was lost.';
comment on column carousel_private.open_calls.id is 'Row of provider_calls.';
comment on column carousel_private.open_calls.state is 'running (its worker holds the job), or perhaps paid for nothing.';
comment on column carousel_private.open_calls.started_at is 'Before the request was sent.';
comment on column carousel_private.open_calls.age is 'How long ago that was.';
comment on column carousel_private.open_calls.model is 'Model that was asked.';
comment on column carousel_private.open_calls.user_id is 'Who it was made for.';
comment on column carousel_private.open_calls.job_id is 'Job that it was made for; the job may be gone.';
comment on column carousel_private.open_calls.image_id is 'Image that it was made for; the image may be gone.';
comment on column carousel_private.open_calls.attempt is 'The job''s attempt.';
comment on column carousel_private.open_calls.worker is 'Name of the worker that made it, or its id when its row is gone.';

grant select on carousel_private.open_calls to carousel_worker;
