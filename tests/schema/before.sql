-- What the app's own migration has made before carousel came.
create table public.image_generation_templates (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  name text not null,
  description text,
  thumbnail_url text,
  source_images jsonb not null default '[]',
  default_prompt text,
  default_settings jsonb default '{}',
  usage_count integer default 0,
  is_favorite boolean default false,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
create table public.image_generation_jobs (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  name text not null,
  template_id uuid references public.image_generation_templates (id) on delete set null,
  template_name text not null,
  template_description text,
  status text not null default 'queued' check (status in ('queued', 'processing', 'completed', 'failed')),
  progress integer default 0 check (progress >= 0 and progress <= 100),
  message text,
  variants integer not null default 1,
  prompt text not null,
  settings jsonb default '{}',
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  completed_at timestamptz
);
alter table public.image_generation_templates add column job_id uuid references public.image_generation_jobs (id) on delete set null;
create table public.generated_carousel_images (
  id uuid primary key default gen_random_uuid(),
  job_id uuid not null references public.image_generation_jobs (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  carousel_index integer not null,
  image_index integer not null,
  source_image_url text not null,
  generated_image_url text not null,
  storage_path text not null,
  width integer,
  height integer,
  prompt_used text,
  settings_used jsonb,
  created_at timestamptz default now(),
  unique (job_id, carousel_index, image_index)
);
create index idx_templates_user_id on public.image_generation_templates (user_id);
create index idx_jobs_user_id on public.image_generation_jobs (user_id);
create index idx_jobs_status on public.image_generation_jobs (status);
create index idx_generated_images_job_id on public.generated_carousel_images (job_id);
create index idx_generated_images_user_id on public.generated_carousel_images (user_id);

alter table public.image_generation_templates enable row level security;
alter table public.image_generation_jobs enable row level security;
alter table public.generated_carousel_images enable row level security;
create policy "Users can view their own templates" on public.image_generation_templates for select using (auth.uid() = user_id);
create policy "Users can create their own templates" on public.image_generation_templates for insert with check (auth.uid() = user_id);
create policy "Users can update their own templates" on public.image_generation_templates for update using (auth.uid() = user_id);
create policy "Users can delete their own templates" on public.image_generation_templates for delete using (auth.uid() = user_id);
create policy "Users can view their own jobs" on public.image_generation_jobs for select using (auth.uid() = user_id);
create policy "Users can create their own jobs" on public.image_generation_jobs for insert with check (auth.uid() = user_id);
create policy "Users can update their own jobs" on public.image_generation_jobs for update using (auth.uid() = user_id);
create policy "Users can delete their own jobs" on public.image_generation_jobs for delete using (auth.uid() = user_id);
create policy "Users can view their own images" on public.generated_carousel_images for select using (auth.uid() = user_id);
create policy "Users can create their own images" on public.generated_carousel_images for insert with check (auth.uid() = user_id);
create policy "Users can delete their own images" on public.generated_carousel_images for delete using (auth.uid() = user_id);

create function public.update_updated_at_column() returns trigger language plpgsql as $$
begin
  new.updated_at = now();
  return new;
end
$$;
create trigger update_templates_updated_at before update on public.image_generation_templates
  for each row execute function public.update_updated_at_column();
create trigger update_jobs_updated_at before update on public.image_generation_jobs
  for each row execute function public.update_updated_at_column();
alter publication supabase_realtime add table public.image_generation_jobs;

insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
values ('generated-carousels', 'generated-carousels', true, 5242880, array['image/png', 'image/jpeg', 'image/webp']);
create policy "Users can upload their carousels" on storage.objects for insert
  with check (bucket_id = 'generated-carousels' and auth.uid()::text = (storage.foldername(name))[1]);
create policy "Users can view their carousels" on storage.objects for select
  using (bucket_id = 'generated-carousels' and auth.uid()::text = (storage.foldername(name))[1]);
create policy "Users can delete their carousels" on storage.objects for delete
  using (bucket_id = 'generated-carousels' and auth.uid()::text = (storage.foldername(name))[1]);
