-- When an image last changed, so that whoever hears of its changes can tell the later one.

-- A constant first: the table is not written anew.
alter table public.generated_carousel_images add column updated_at timestamptz not null default now();
alter table public.generated_carousel_images alter column updated_at set default clock_timestamp();

comment on column public.generated_carousel_images.updated_at is 'When the row last changed; for rows from before this column, when it was added.';

create function carousel_private.stamp_image() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  -- Not the time of the transaction: one that waited for another would seem to be the earlier.
  new.updated_at := clock_timestamp();
  return new;
end
$$;
comment on function carousel_private.stamp_image() is 'Keeps updated_at true.';
revoke execute on function carousel_private.stamp_image() from public;

create trigger stamp_image before update on public.generated_carousel_images
  for each row execute function carousel_private.stamp_image();
