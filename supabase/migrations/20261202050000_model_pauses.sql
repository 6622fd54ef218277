-- A limit, or a refusal, of a model that one job has chosen used to keep everybody's jobs waiting: the pause was the key's. Now it is the model's, and
-- jobs that have chosen that model are scheduled for its end when a claim meets them. The worker's own model pauses the key, as before.

create table carousel_private.model_pauses (
  model text primary key,
  paused_until timestamptz not null,
  reason text not null,
  updated_at timestamptz not null default now()
);
comment on table carousel_private.model_pauses is 'Models that jobs have chosen and that are left alone for a while. Other models go on.';
comment on column carousel_private.model_pauses.model is 'As jobs name it.';
comment on column carousel_private.model_pauses.paused_until is 'No job that has chosen it is begun before this time.';
comment on column carousel_private.model_pauses.reason is 'Why, in words for the operator.';
comment on column carousel_private.model_pauses.updated_at is 'When the row last changed.';
grant select, insert, update, delete on carousel_private.model_pauses to carousel_worker;

create function carousel_private.pause_left(of_model text) returns double precision
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return greatest(
    carousel_private.pause_left(),
    coalesce(extract(epoch from (select paused_until from carousel_private.model_pauses where model = of_model) - clock_timestamp()), 0)
  );
end
$$;
comment on function carousel_private.pause_left(text) is 'Seconds for which this model is to be left alone, or the provider, or Storage; 0 when none is.';
revoke execute on function carousel_private.pause_left(text) from public;
grant execute on function carousel_private.pause_left(text) to carousel_worker;

insert into carousel_private.migrations (version, name) values ('20261202050000', 'model_pauses');
