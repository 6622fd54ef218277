-- Carousel's own record of what is applied. The histories of the tools tell what each of them did, and the Supabase CLI's is the app's: what it
-- advises when it meets a version that it has no file of would erase it.

create table carousel_private.migrations (
  version text primary key,
  name text not null unique,
  applied_at timestamptz not null default now()
);
comment on table carousel_private.migrations is 'Migrations of carousel''s that are applied, whichever tool has applied them.';
comment on column carousel_private.migrations.version is 'Its order among carousel''s. An app that has it among its own migrations may have it under another version.';
comment on column carousel_private.migrations.name is 'What it is known by.';
comment on column carousel_private.migrations.applied_at is 'When it was applied; of the first ones, when this table was made.';
grant select on carousel_private.migrations to carousel_worker;

-- All that come before; later ones enter themselves.
insert into carousel_private.migrations (version, name) values
  ('20261122000000', 'guard'),
  ('20261122000100', 'foundation'),
  ('20261122000200', 'templates'),
  ('20261122000300', 'jobs'),
  ('20261122000400', 'images'),
  ('20261122000500', 'private_tables'),
  ('20261122000600', 'queue_order'),
  ('20261122000650', 'job_rules'),
  ('20261122000670', 'variables'),
  ('20261122000700', 'job_triggers'),
  ('20261122000800', 'cleanup_triggers'),
  ('20261122000900', 'storage'),
  ('20261122000910', 'shared_bucket'),
  ('20261122001000', 'realtime'),
  ('20261122001100', 'provider_pause'),
  ('20261122001200', 'sweep'),
  ('20261122001300', 'dashboard'),
  ('20261125000100', 'leased_while_pending'),
  ('20261125000200', 'count_images_of_many'),
  ('20261125000300', 'turns_by_index'),
  ('20261125000400', 'pause_planned_once'),
  ('20261201040000', 'objects_of_calls'),
  ('20261201040100', 'uploads'),
  ('20261201040200', 'one_project'),
  ('20261201050000', 'billed_tries'),
  ('20261201060000', 'pause_storage'),
  ('20261201080000', 'room_in_prompt'),
  ('20261201090000', 'image_updated_at'),
  ('20261201090100', 'broadcasts'),
  ('20261201100000', 'slides'),
  ('20261201100100', 'slides_validated'),
  ('20261201110000', 'own_user_id'),
  ('20261201120000', 'limits_of_the_ledger'),
  ('20261201120100', 'limits_of_requests'),
  ('20261201130000', 'search_paths'),
  ('20261201130100', 'few_words'),
  ('20261201235900', 'record');
