-- How many jobs wait and run, and for how many seconds the longest of the next thousand could have been worked on: a client may set run_at to long ago.
-- Counts to a hundred thousand: what is above costs more to count than it tells.
select
    (select count(*) from (select from carousel_private.queue limit 100000) as waiting) as pending,
    (select count(*) from carousel_private.leases) as processing,
    (
        select coalesce(greatest(0, extract(epoch from now() - min(greatest(
            run_at, (select created_at from public.image_generation_jobs where id = next.job_id)
        )))), 0)::float8
        from (select job_id, run_at from carousel_private.queue where turn is not null order by turn, job_id limit 1000) as next
    ) as oldest_seconds
