-- Looks at the rows of before, in a transaction of its own: nobody waits for it who reads or writes.

alter table public.image_generation_jobs
  validate constraint slides_from_known,
  validate constraint source_paths_1_to_100,
  validate constraint at_most_16_sources_a_slide,
  validate constraint slide_sources_belong_to_prompts,
  validate constraint slide_sources_are_lists_of_numbers,
  validate constraint aspect_ratios_known_and_distinct,
  validate constraint total_images_is_what_was_asked_for;

alter table public.image_generation_templates
  validate constraint slides_from_known,
  validate constraint source_paths_1_to_100,
  validate constraint at_most_16_sources_a_slide,
  validate constraint slide_sources_belong_to_prompts,
  validate constraint slide_sources_are_lists_of_numbers,
  validate constraint aspect_ratios_known_and_distinct;

alter table public.generated_carousel_images validate constraint aspect_ratio_known;
