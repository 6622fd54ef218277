-- Prolongs the leases with the tokens $1 by $2 seconds; a lease that does not come back is lost.
update carousel_private.leases lease
set leased_until = now() + make_interval(secs => $2)
from public.image_generation_jobs job
where lease.token = any ($1) and job.id = lease.job_id
returning lease.token, job.cancel_requested_at is not null as cancel_requested
