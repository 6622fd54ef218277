-- Reads the rows while others go on writing.

alter table public.generated_carousel_images validate constraint stored_in_the_owners_folder;
alter table public.generated_carousel_images validate constraint completed_is_whole;

insert into carousel_private.migrations (version, name) values ('20261202040100', 'carried_images_validated');
