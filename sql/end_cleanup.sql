-- Forgets the objects $1, which are gone, and that they were uploaded.
with gone as (
    delete from carousel_private.storage_cleanup where id = any ($1) returning path, created_at
)
delete from public.carousel_uploads upload
using gone
where upload.path = gone.path and upload.path = any (array(select path from gone)) and upload.renewed_at <= gone.created_at
