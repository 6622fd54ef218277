//! The way over from an app that had tables of our names before, and the way back.

use carousel::migrations::{self, Adoption};
use carousel_local::postgres::ADMIN;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::beside::init;
use crate::catalog;
use crate::project::{fresh, shared};
use crate::supabase_cli::Repository;

const OLD: &str = include_str!("before.sql");
const BUCKET: &str = "https://abc.supabase.co/storage/v1/object/public/generated-carousels";

/// A project as the app has left it, with nobody and nothing in it.
pub struct Old {
    pub owner: Client,
    admin: Client,
}

impl Old {
    pub async fn new(name: &str) -> Self {
        let server = &shared().await.server;
        fresh(server, name, true).await;
        let owner = server.connect("postgres", name).await.unwrap();
        owner.batch_execute(OLD).await.unwrap();
        Self { owner, admin: server.connect(ADMIN, name).await.unwrap() }
    }

    pub async fn user(&self) -> Uuid {
        let user = Uuid::new_v4();
        self.admin.execute("insert into auth.users (id) values ($1)", &[&user]).await.unwrap();
        user
    }

    /// A template of these photos, a job that was made with it, and its pictures: `variants` carousels of a slide for each photo.
    pub async fn job(&self, user: Uuid, photos: i32, variants: i32, status: &str) -> Uuid {
        let (template, job) = (Uuid::new_v4(), Uuid::new_v4());
        let insert = "insert into public.image_generation_templates (id, user_id, name, source_images, default_prompt, default_settings, usage_count, is_favorite)
            select $1::uuid, $2::uuid, 'desk', jsonb_agg(format('%s/%s/sources/1_%s.png', $4::text, $2::uuid, photo)), 'words', '{\"aspect_ratio\": \"4:5\"}', 3, true
            from generate_series(0, $3::integer - 1) as photo";
        self.owner.execute(insert, &[&template, &user, &photos, &BUCKET]).await.unwrap();
        let insert = "insert into public.image_generation_jobs (id, user_id, name, template_id, template_name, status, progress, variants, prompt, settings, completed_at)
            values ($1::uuid, $2::uuid, 'my carousel', $3::uuid, 'desk', $4::text, case $4::text when 'completed' then 100 else 40 end, $5::integer, 'make it blue', '{\"quality\": \"hd\"}',
                case $4::text when 'completed' then now() end)";
        self.owner.execute(insert, &[&job, &user, &template, &status, &variants]).await.unwrap();
        if status == "completed" {
            let insert = "insert into public.generated_carousel_images
                    (job_id, user_id, carousel_index, image_index, source_image_url, generated_image_url, storage_path, width, height, prompt_used)
                select $1::uuid, $2::uuid, variant, photo, format('%s/%s/sources/1_%s.png', $5::text, $2::uuid, photo), format('%s/%s', $5::text, path), path, 1024, 1280, 'make it blue'
                from generate_series(0, $4::integer - 1) as variant
                cross join generate_series(0, $3::integer - 1) as photo
                cross join lateral (select format('%s/generated/job-1-%s/variant-%s/%s.jpg', $2::uuid, $1::uuid, variant, photo) as path) as place";
            self.owner.execute(insert, &[&job, &user, &photos, &variants, &BUCKET]).await.unwrap();
            let insert = "insert into storage.objects (bucket_id, name)
                select 'generated-carousels', storage_path from public.generated_carousel_images where job_id = $1";
            self.admin.execute(insert, &[&job]).await.unwrap();
        }
        job
    }

    /// Everything that the app has: the catalog, and its rows as text.
    pub async fn everything(&self) -> (std::collections::BTreeSet<String>, Vec<String>) {
        let mut rows = Vec::new();
        for table in [
            "public.image_generation_templates",
            "public.image_generation_jobs",
            "public.generated_carousel_images",
            "storage.objects",
        ] {
            let all = format!("select to_jsonb(row)::text from {table} as row order by id");
            rows.extend(self.admin.query(&all, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
        }
        (catalog::read(&self.admin).await, rows)
    }

    pub async fn one(&self, sql: &str) -> String {
        let sql = format!("select coalesce(({sql})::text, 'null')");
        self.admin.query_one(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }
}

#[tokio::test]
async fn rows_come_over_whole_and_the_way_back_leaves_everything_as_it_was() {
    let mut old = Old::new("adopted").await;
    let (one, two) = (old.user().await, old.user().await);
    let done = old.job(one, 3, 2, "completed").await;
    let waiting = old.job(two, 2, 1, "queued").await;
    let failed = old.job(two, 1, 1, "failed").await;
    let large = old.job(one, 4, 60, "completed").await;
    // Part of it is gone, and part of it is elsewhere.
    let torn = old.job(two, 3, 1, "completed").await;
    old.owner
        .execute("delete from public.generated_carousel_images where job_id = $1 and image_index = 1", &[&torn])
        .await
        .unwrap();
    let foreign = "update public.image_generation_templates set source_images = '[\"https://elsewhere.example/a.png\"]' where id = (
        select template_id from public.image_generation_jobs where id = $1)";
    old.owner.execute(foreign, &[&failed]).await.unwrap();
    let before = old.everything().await;

    let found = migrations::before(&old.owner).await.unwrap().unwrap();
    assert_eq!((found.rows, found.odd.len()), ([5, 5, 248], 0), "{found}");
    let refused = format!("{:#}", migrations::apply(&mut old.owner).await.unwrap_err());
    assert!(refused.contains("--adopt") && refused.contains("5 jobs"), "{refused}");
    let tried = migrations::adopt(&mut old.owner, &Adoption::default(), false).await.unwrap();
    assert_eq!(old.everything().await, before, "it was taken back");
    let carried = migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap();
    assert_eq!(carried, tried);
    assert_eq!((carried.templates, carried.jobs, carried.images), ((5, 4), (5, 4), (248, 248)));
    assert!(migrations::apply(&mut old.owner).await.unwrap().is_empty(), "nothing is left to do");
    assert!(migrations::missing(&old.owner).await.unwrap().is_empty());
    assert_eq!(migrations::before(&old.owner).await.unwrap(), None);

    let job = async |id: Uuid, what: &str| {
        old.one(&format!("select {what} from public.image_generation_jobs where id = '{id}'")).await
    };
    let told = "concat_ws(' ', status, slides_from, cardinality(source_paths), variants, total_images, completed_images, aspect_ratios, quality, title)";
    assert_eq!(job(done, told).await, "completed sources 3 2 6 6 {auto} high my carousel");
    assert_eq!(job(waiting, "concat_ws(' ', status, error_code, completed_images)").await, "failed before_carousel 0");
    assert_eq!(job(torn, "concat_ws(' ', status, completed_images, failed_images)").await, "partial 2 1");
    assert_eq!(job(failed, "id").await, "null", "nobody knows its photos");
    // 60 variants of 4 slides are six jobs.
    assert_eq!(job(large, "concat_ws(' ', variants, total_images)").await, "10 40");
    let parts = format!(
        "select concat_ws(' ', count(*), sum(completed_images)) from public.image_generation_jobs where user_id = '{one}'"
    );
    assert_eq!(old.one(&parts).await, "7 246");
    let image = format!(
        "select concat_ws(' ', image.variant, image.slide, image.status, image.storage_path = before.storage_path, image.job_id = before.job_id)
         from public.generated_carousel_images image join public.generated_carousel_images_before_carousel before using (id)
         where before.job_id = '{done}' and before.carousel_index = 1 and before.image_index = 2"
    );
    assert_eq!(old.one(&image).await, "2 3 completed t t");
    let template = "select concat_ws(' ', count(*), min(use_count), bool_and(is_favorite), min(aspect_ratios::text)) from public.image_generation_templates";
    assert_eq!(old.one(template).await, "4 3 t {4:5}");
    assert_eq!(old.one("select concat_ws(' ', public, file_size_limit) from storage.buckets").await, "t 5242880");
    for quiet in [
        "carousel_private.queue",
        "carousel_private.storage_cleanup",
        "carousel_private.provider_calls",
        "realtime.messages",
    ] {
        assert_eq!(old.one(&format!("select count(*) from {quiet}")).await, "0", "{quiet}");
    }

    let back = "select carousel_private.undo_adoption()";
    let said: String = old.owner.query_one(back, &[]).await.unwrap().get(0);
    assert!(said.contains("5 jobs"), "{said}");
    let after = old.everything().await;
    assert_eq!(after.1, before.1);
    assert!(before.0.len() > 200, "only {} lines were compared", before.0.len());
    assert_eq!(after.0.symmetric_difference(&before.0).collect::<Vec<_>>(), Vec::<&String>::new());
    // And over again.
    assert_eq!(migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap(), carried);
}

#[tokio::test]
async fn what_is_odd_stops_everything_and_nothing_is_changed() {
    let mut old = Old::new("odd").await;
    let user = old.user().await;
    old.job(user, 2, 1, "completed").await;
    for (oddity, word) in [
        ("alter table public.image_generation_jobs add column cost numeric", "column cost"),
        ("alter table public.image_generation_jobs drop column settings", "no column settings"),
        ("alter table public.generated_carousel_images alter column width type text", "no column width"),
        (
            "create table public.likes (job uuid references public.image_generation_jobs (id))",
            "likes has a foreign key",
        ),
        ("create view public.recent as select * from public.image_generation_jobs", "view recent"),
    ] {
        old.owner.batch_execute(&format!("begin; {oddity}; commit")).await.unwrap();
        let before = old.everything().await;
        let found = migrations::before(&old.owner).await.unwrap().unwrap();
        assert!(found.to_string().contains(word), "{found}");
        let refused = format!("{:#}", migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap_err());
        assert!(refused.contains(word), "{refused}");
        assert_eq!(old.everything().await, before);
        let mend = match oddity.split(' ').nth(1).unwrap() {
            "view" => "drop view public.recent".to_owned(),
            "table" if oddity.starts_with("create") => "drop table public.likes".to_owned(),
            _ if oddity.contains("cost") => "alter table public.image_generation_jobs drop column cost".to_owned(),
            _ if oddity.contains("settings") => {
                "alter table public.image_generation_jobs add column settings jsonb default '{}'".to_owned()
            }
            _ => "alter table public.generated_carousel_images alter column width type integer using width::integer"
                .to_owned(),
        };
        old.owner.batch_execute(&mend).await.unwrap();
    }
    migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap();
}

#[tokio::test]
async fn the_apps_own_push_does_the_same_and_goes_on() {
    let server = &shared().await.server;
    let straight = Old::new("adopted_straight").await;
    let mut straight_owner = server.connect("postgres", "adopted_straight").await.unwrap();
    migrations::adopt(&mut straight_owner, &Adoption::default(), true).await.unwrap();

    fresh(server, "adopted_by_push", true).await;
    let (url, app) = (server.url("postgres", "adopted_by_push"), Repository::app().await);
    app.add("20260101000000_theirs.sql", OLD);
    assert_eq!(app.push(&url).await, 1);
    let mut old = Old {
        owner: server.connect("postgres", "adopted_by_push").await.unwrap(),
        admin: server.connect(ADMIN, "adopted_by_push").await.unwrap(),
    };
    let user = old.user().await;
    let job = old.job(user, 2, 2, "completed").await;
    let before = old.everything().await;

    let (code, said) = init(app.path(), &[]);
    assert!(code == 1 && said.contains("20260101000000_theirs.sql") && said.contains("--adopt"), "{said}");
    let (code, said) = init(app.path(), &["--database-url", &url]);
    assert!(code == 1 && said.contains("1 jobs"), "{said}");
    assert_eq!(app.push(&url).await, 0, "nothing was written");
    let (code, said) = init(app.path(), &["--adopt"]);
    assert!(code == 0 && said.contains("_carousel_adoption.sql"), "{said}");
    assert_eq!(app.push(&url).await, 1);
    app.add("20990101000000_theirs_later.sql", "create table public.theirs (id int8 primary key);");
    app.add("20990101000001_theirs_last.sql", "drop table public.theirs;");
    assert_eq!(app.push(&url).await, 2, "the app goes on");
    let (code, said) = init(app.path(), &[]);
    assert!(code == 0 && said.contains("\"written\":[]"), "{said}");
    assert!(migrations::apply(&mut old.owner).await.unwrap().is_empty(), "nothing is left to do");
    catalog::assert_same(
        ("the app's push", &catalog::read(&old.admin).await),
        ("carousel migrate --adopt", &catalog::read(&straight.admin).await),
    );
    let told =
        format!("select concat_ws(' ', status, completed_images) from public.image_generation_jobs where id = '{job}'");
    assert_eq!(old.one(&told).await, "completed 4");

    old.owner.execute("select carousel_private.undo_adoption()", &[]).await.unwrap();
    let after = old.everything().await;
    assert_eq!(after.0.symmetric_difference(&before.0).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(after.1, before.1);
    // As long as its file is there, it comes again; here it is older than the app's last.
    let again = app.try_push(&url, &["--include-all"]).await;
    assert!(again.success, "{}{}", again.stdout, again.stderr);
    assert!(migrations::missing(&old.owner).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_deleted_picture_of_before_stays_as_long_as_the_old_table_names_it() {
    let mut old = Old::new("kept_objects").await;
    let (one, two) = (old.user().await, old.user().await);
    let jobs = [old.job(one, 1, 1, "completed").await, old.job(two, 1, 1, "completed").await];
    migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap();
    let delete = "delete from public.image_generation_jobs where id = any ($1)";
    assert_eq!(old.owner.execute(delete, &[&&jobs[..]]).await.unwrap(), 2);

    // What waits, and what a worker may remove.
    let waiting = async |old: &Old| {
        old.owner.execute("select carousel_private.sweep_objects('0')", &[]).await.unwrap();
        old.one("select concat_ws(' ', count(*), count(*) filter (where due_at <= now())) from carousel_private.storage_cleanup").await
    };
    assert_eq!(waiting(&old).await, "2 0");
    old.admin.execute("delete from auth.users where id = $1", &[&two]).await.unwrap();
    assert_eq!(waiting(&old).await, "2 1", "an account takes everything along");
    old.owner.execute("drop table public.generated_carousel_images_before_carousel", &[]).await.unwrap();
    assert_eq!(waiting(&old).await, "2 2", "nothing names it any more");
}
