-- Takes the next place in the row of calls to provider $1, and says in how many seconds it is this call's turn.
update carousel_private.provider_budget
set next_at = greatest(next_at, now()) + make_interval(secs => coalesce(60.0 / images_per_minute, 0)::float8)
where provider = $1
returning extract(epoch from next_at - now())::float8 - coalesce(60.0 / images_per_minute, 0)::float8 as wait_seconds
