-- What a job must be before it is taken.

create function carousel_private.require_makeable(job public.image_generation_jobs) returns void
language plpgsql
set search_path = ''
as $$
declare
  slides integer := greatest(1, cardinality(job.slide_prompts));
  ratios integer := cardinality(job.aspect_ratios);
begin
  if job.prompt !~ '\S'
    and (cardinality(job.slide_prompts) = 0 or exists (select from unnest(job.slide_prompts) as words where words !~ '\S'))
  then
    raise exception 'the job has no prompt'
      using errcode = '23514', constraint = 'prompt_or_slide_prompts_given', detail = 'prompt_missing',
        hint = 'Pass prompt, or slide_prompts with words for every slide.';
  end if;
  if cardinality(job.source_paths) not between 1 and 16 then
    raise exception 'the job has % source images', cardinality(job.source_paths)
      using errcode = '23514', constraint = 'source_paths_1_to_16',
        detail = case cardinality(job.source_paths) when 0 then 'sources_missing' else 'too_many_sources' end,
        hint = 'Pass source_paths with 1 to 16 uploaded images, or template_id.';
  end if;
  if job.variants not between 1 and 10 then
    raise exception 'variants is %', job.variants
      using errcode = '23514', constraint = 'variants_between_1_and_10', detail = 'variants_out_of_range', hint = 'Pass 1 to 10.';
  end if;
  if ratios = 0 or ratios <> (
    select count(distinct ratio) from unnest(job.aspect_ratios) as ratio where ratio in ('1:1', '4:5', '9:16', '3:4', '16:9')
  ) then
    raise exception 'aspect_ratios is %', left(job.aspect_ratios::text, 80)
      using errcode = '23514', constraint = 'aspect_ratios_known_and_distinct', detail = 'aspect_ratios_invalid',
        hint = 'Pass one or more of 1:1, 4:5, 9:16, 3:4 and 16:9, each once.';
  end if;
  if job.variants * slides * ratios > 100 then
    raise exception 'the job has % images: % variants x % slides x % aspect ratios', job.variants * slides * ratios, job.variants, slides, ratios
      using errcode = '23514', constraint = 'total_images_at_most_100', detail = 'too_many_images',
        hint = 'A job has at most 100: send several jobs with the same batch_id.';
  end if;
end
$$;
comment on function carousel_private.require_makeable(public.image_generation_jobs) is 'Refuses what clients get wrong most, in words and with the fix; constraints of the same names stand behind it.';
revoke execute on function carousel_private.require_makeable(public.image_generation_jobs) from public;

create function carousel_private.require_within_limits(job uuid, owner uuid, images integer) returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
  allowed carousel_private.limits;
  used numeric;
begin
  select * into allowed from carousel_private.limits
    where user_id = owner or user_id is null order by user_id nulls last limit 1;
  if not found then
    return;
  end if;
  -- One user's requests take their turn, so that two at once can't pass a limit together.
  perform pg_advisory_xact_lock(hashtextextended('carousel user ' || owner::text, 0));
  select count(*) into used from public.image_generation_jobs
    where user_id = owner and id <> job and status in ('pending', 'processing');
  if used >= allowed.max_active_jobs then
    raise exception 'you have % unfinished jobs, and your limit is %', used, allowed.max_active_jobs
      using errcode = 'PT429', detail = 'too_many_active_jobs', hint = 'Wait for one to finish, or cancel one.';
  end if;
  select coalesce(sum(total_images), 0) into used from public.image_generation_jobs
    where user_id = owner and id <> job
      and (created_at > now() - interval '24 hours' or retry_requested_at > now() - interval '24 hours');
  if used + images > allowed.max_images_a_day then
    raise exception 'this job''s % images would make % in 24 hours, and your limit is %', images, used + images, allowed.max_images_a_day
      using errcode = 'PT429', detail = 'too_many_images_a_day', hint = 'Ask for fewer images, or wait.';
  end if;
  select coalesce(sum(cost_usd), 0) into used from carousel_private.provider_calls
    where user_id = owner and started_at >= date_trunc('month', now() at time zone 'utc') at time zone 'utc';
  if used >= allowed.max_usd_a_month then
    raise exception 'this month''s budget of % dollars is spent', allowed.max_usd_a_month
      using errcode = 'PT429', detail = 'monthly_budget_spent', hint = 'Wait for the next month, or ask for a larger budget.';
  end if;
end
$$;
comment on function carousel_private.require_within_limits(uuid, uuid, integer) is 'Refuses a job that would go over its owner''s limits.';
revoke execute on function carousel_private.require_within_limits(uuid, uuid, integer) from public;
