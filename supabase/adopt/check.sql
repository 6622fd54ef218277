-- That everything is where it belongs; otherwise nothing has happened.

do $$
declare
  carried constant jsonb := (select counts from carousel_private.adoption);
  wrong text;
begin
  select string_agg(format('%s: %s', what, rows), e'\n') into wrong
  from (
    select 'templates with photos of their owner''s in the bucket that are not there' as what, count(*) as rows
    from public.image_generation_templates_before_carousel before join auth.users owner on owner.id = before.user_id
    where cardinality(carousel_private.own_paths(before.user_id, before.source_images)) > 0
      and not exists (
        select from public.image_generation_templates where id = before.id and user_id = before.user_id
          and source_paths = (carousel_private.own_paths(before.user_id, before.source_images))[1:100]
      )
    union all
    select 'pictures of a carried job that are not there', count(*)
    from public.generated_carousel_images_before_carousel before
    join public.image_generation_jobs job on job.id = before.job_id and job.user_id = before.user_id
    where before.carousel_index >= 0 and before.image_index between 0 and 99
      and coalesce(carousel_private.own_path(before.user_id, before.storage_path), carousel_private.own_path(before.user_id, before.generated_image_url)) is not null
      and not exists (
        select from public.generated_carousel_images image
        where image.id = before.id and image.user_id = before.user_id and image.slide = before.image_index + 1
          and image.storage_path = coalesce(
            carousel_private.own_path(before.user_id, before.storage_path), carousel_private.own_path(before.user_id, before.generated_image_url)
          )
      )
    union all
    select 'pictures whose job was not carried', count(*)
    from public.generated_carousel_images_before_carousel before
    join public.image_generation_jobs_before_carousel job on job.id = before.job_id and job.user_id = before.user_id
    where carousel_private.own_path(before.user_id, before.storage_path) is not null and before.carousel_index >= 0 and before.image_index between 0 and 99
      and not exists (select from public.image_generation_jobs where id = before.job_id)
    union all
    select 'jobs whose counts are not those of their pictures', count(*)
    from public.image_generation_jobs job
    where completed_images <> (select count(*) from public.generated_carousel_images where job_id = job.id and user_id = job.user_id)
    union all
    select 'rows more or less than were carried', abs((select count(*) from public.image_generation_templates) - (carried ->> 'templates_carried')::bigint)
      + abs((select count(*) from public.image_generation_jobs) - (carried ->> 'jobs_made_of_them')::bigint)
      + abs((select count(*) from public.generated_carousel_images) - (carried ->> 'images_carried')::bigint)
    union all
    select 'things that took notice of what was carried', (select count(*) from carousel_private.queue) + (select count(*) from carousel_private.leases)
      + (select count(*) from carousel_private.storage_cleanup) + (select count(*) from carousel_private.provider_calls)
  ) as found
  where rows > 0;
  if wrong is not null then
    raise exception 'nothing was changed: the rows of before could not be carried over as they are' using errcode = '23000', detail = wrong;
  end if;
end
$$;
