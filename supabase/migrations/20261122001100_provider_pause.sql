-- While the provider wants to be left alone, or has no more money for us, nobody claims a job and nobody calls it.

create function carousel_private.pause_left() returns double precision
language sql
stable
set search_path = ''
as $$
  select greatest(0, coalesce(extract(epoch from max(paused_until) - clock_timestamp()), 0))::double precision
  from carousel_private.provider_budget
$$;
comment on function carousel_private.pause_left() is 'Seconds for which the provider is to be left alone; 0 when it is not.';
revoke execute on function carousel_private.pause_left() from public;
grant execute on function carousel_private.pause_left() to carousel_worker;
