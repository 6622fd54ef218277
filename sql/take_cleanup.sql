-- Takes up to $1 objects that are to go, and hides them from other workers for $2 seconds times the tries so far.
update carousel_private.storage_cleanup
set attempts = attempts + 1, due_at = now() + make_interval(secs => $2::float8 * (attempts + 1))
where id in (
    select id from carousel_private.storage_cleanup where due_at <= now() order by due_at limit $1 for update skip locked
)
returning id, path
