-- Says how many images a minute all workers together may ask of provider $1.
insert into carousel_private.provider_budget as budget (provider, images_per_minute)
values ($1, $2)
on conflict (provider) do update set images_per_minute = excluded.images_per_minute, updated_at = now()
where budget.images_per_minute is distinct from excluded.images_per_minute
