-- What is odd about the tables of the app that carousel comes to; a line for each. No line: they are as that app made them, and nothing else
-- leans on them.
with old_table (name, columns) as (
  values
    ('image_generation_templates', '{
      "id": "uuid", "user_id": "uuid", "name": "text", "description": "text", "thumbnail_url": "text", "source_images": "jsonb",
      "default_prompt": "text", "default_settings": "jsonb", "usage_count": "integer", "is_favorite": "boolean",
      "created_at": "time", "updated_at": "time", "job_id": "uuid"
    }'::jsonb),
    ('image_generation_jobs', '{
      "id": "uuid", "user_id": "uuid", "name": "text", "template_id": "uuid", "template_name": "text", "template_description": "text",
      "status": "text", "progress": "integer", "message": "text", "variants": "integer", "prompt": "text", "settings": "jsonb",
      "created_at": "time", "updated_at": "time", "completed_at": "time"
    }'),
    ('generated_carousel_images', '{
      "id": "uuid", "user_id": "uuid", "job_id": "uuid", "carousel_index": "integer", "image_index": "integer", "source_image_url": "text",
      "generated_image_url": "text", "storage_path": "text", "width": "integer", "height": "integer", "prompt_used": "text",
      "settings_used": "jsonb", "created_at": "time"
    }')
),
found as (
  select old_table.*, class.oid
  from old_table
  left join pg_class class on relname = name and relnamespace = to_regnamespace('public') and relkind = 'r'
),
wanted as (
  select name, oid, key as column_name, value as kind from found cross join jsonb_each_text(columns)
),
there as (
  select oid, attname::text as column_name, case format_type(atttypid, null)
      when 'character varying' then 'text' when 'timestamp with time zone' then 'time' when 'timestamp without time zone' then 'time'
      when 'smallint' then 'integer' when 'bigint' then 'integer' else format_type(atttypid, null)
    end as kind
  from found join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped
)
select format('there is no table public.%s', name) as odd from found where oid is null
union all
select format('public.%s has no column %s of type %s', name, column_name, kind)
from wanted
where oid is not null
  -- The app added it later.
  and (name, column_name) <> ('image_generation_templates', 'job_id')
  and not exists (select from there where (there.oid, there.column_name, there.kind) = (wanted.oid, wanted.column_name, wanted.kind))
union all
select format('public.%s has a column %s, which is not known', name, column_name)
from found join there using (oid)
where not columns ? column_name
union all
select format('%s has a foreign key to public.%s', conrelid::regclass, name)
from found join pg_constraint on confrelid = found.oid and contype = 'f'
where conrelid not in (select found.oid from found where found.oid is not null)
union all
select distinct format('the view %s reads public.%s', ev_class::regclass, name)
from found
join pg_depend on refobjid = found.oid and refclassid = 'pg_class'::regclass and classid = 'pg_rewrite'::regclass
join pg_rewrite on pg_rewrite.oid = objid
where ev_class <> found.oid
