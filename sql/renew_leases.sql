-- Prolongs the leases with the tokens $1 by $2 seconds; a lease that does not come back is lost.
update carousel_private.leases lease
set leased_until = now() + make_interval(secs => $2)
where lease.token = any ($1)
returning
    lease.token,
    (select cancel_requested_at is not null from public.image_generation_jobs where id = lease.job_id) as cancel_requested
