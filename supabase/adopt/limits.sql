-- By the owner's word: the bucket takes what carousel makes.

update storage.buckets
set file_size_limit = greatest(file_size_limit, 52428800),
  allowed_mime_types = case
    when allowed_mime_types is not null
      then array(select distinct type from unnest(allowed_mime_types || array['image/png', 'image/jpeg', 'image/webp']) as type order by type)
  end
where id = 'generated-carousels';
