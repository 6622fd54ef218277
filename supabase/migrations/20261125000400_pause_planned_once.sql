-- Asked with each paid call and each look round: as a function in SQL it was planned anew each time.

create or replace function carousel_private.pause_left() returns double precision
language plpgsql
stable
set search_path = ''
as $$
begin
  return greatest(0, coalesce(extract(epoch from (select max(paused_until) from carousel_private.provider_budget) - clock_timestamp()), 0));
end
$$;
