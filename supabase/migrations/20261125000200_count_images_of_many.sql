-- Ending many jobs in one statement counts their images in one query: a call for each job was a third of what such a statement took.

create function carousel_private.count_images(
  jobs uuid[], out job_id uuid, out completed bigint, out failed bigint, out cost_usd numeric, out usage jsonb, out error_code text,
  out error_message text
)
returns setof record
-- Not SQL: its plan would be made anew for each statement that calls it, which takes longer than the count.
language plpgsql
-- Volatile, so that it sees what was committed up to its call, not up to the beginning of the statement that calls it: an image may be
-- recorded while that statement waits for its job's lease.
volatile
set search_path = ''
as $$
begin
  return query
    select
      wanted.id,
      count(*) filter (where image.status = 'completed'),
      count(*) filter (where image.status = 'failed'),
      coalesce(sum(image.cost_usd) filter (where image.status = 'completed'), 0),
      nullif(jsonb_strip_nulls(jsonb_build_object(
        'text_in', sum((image.usage #>> '{input_tokens_details,text_tokens}')::bigint),
        'image_in', sum((image.usage #>> '{input_tokens_details,image_tokens}')::bigint),
        'out', sum((image.usage ->> 'output_tokens')::bigint),
        'total', sum((image.usage ->> 'total_tokens')::bigint)
      )), '{}'),
      (array_agg(image.error_code order by image.variant, image.slide) filter (where image.status = 'failed'))[1],
      (array_agg(image.error_message order by image.variant, image.slide) filter (where image.status = 'failed'))[1]
    from unnest(jobs) as wanted (id)
    left join public.generated_carousel_images image on image.job_id = wanted.id and image.job_id = any (jobs)
    group by wanted.id;
end
$$;
comment on function carousel_private.count_images(uuid[])
  is 'What the images of jobs amount to: counts, cost and tokens, and the first failure of each. Call it once their leases are locked.';
revoke execute on function carousel_private.count_images(uuid[]) from public;
grant execute on function carousel_private.count_images(uuid[]) to carousel_worker;

drop function carousel_private.count_images(uuid);
drop function carousel_private.sum_usage(jsonb[]);
