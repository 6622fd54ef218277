-- Takes up to $1 objects that are to go, and hides them from other workers for $2 seconds times the tries so far. A source that a row
-- names again by now, or that was uploaded anew, stays: its removal is forgotten.
with due as materialized (
    select id, path, created_at
    from carousel_private.storage_cleanup
    where due_at <= now()
    order by due_at
    limit $1
    for update skip locked
),
-- After the lock: who names a source meanwhile waits for it, and is refused.
judged as materialized (
    select id, carousel_private.is_source_kept(path, created_at) as kept from due
),
forgotten as (
    delete from carousel_private.storage_cleanup cleanup using judged where cleanup.id = judged.id and judged.kept
)
update carousel_private.storage_cleanup cleanup
set attempts = attempts + 1, due_at = now() + make_interval(secs => $2::float8 * (attempts + 1))
from judged
where cleanup.id = judged.id and not judged.kept
returning cleanup.id, cleanup.path
