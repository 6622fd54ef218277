-- The images of job $1 that are still to be made, in the order in which a person looks at them.
select id, variant, slide, aspect_ratio
from public.generated_carousel_images
where job_id = $1 and status in ('pending', 'generating')
order by variant, slide, aspect_ratio
