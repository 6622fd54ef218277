-- Prolongs the leases with the tokens $1 by $2 seconds; a lease that does not come back is lost. One that somebody holds, as whoever deletes its job, is
-- passed over and comes back as it is: it does not keep the others.
with free as materialized (
    select job_id from carousel_private.leases where token = any ($1) for no key update skip locked
),
renewed as (
    update carousel_private.leases
    set leased_until = now() + make_interval(secs => $2)
    where job_id = any (array(select job_id from free))
)
select
    lease.token,
    (select cancel_requested_at is not null from public.image_generation_jobs where id = lease.job_id) as cancel_requested
from carousel_private.leases lease
where lease.token = any ($1)
