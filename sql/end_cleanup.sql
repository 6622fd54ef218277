-- Forgets the objects $1, which are gone.
delete from carousel_private.storage_cleanup where id = any ($1)
