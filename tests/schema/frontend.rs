//! What the frontend from before carousel finds where it goes on (`supabase/adopt/frontend.sql`), row by row.

use carousel::migrations::{self, Adoption};
use uuid::Uuid;

use crate::catalog;
use crate::client::{insert_job, run, value};
use crate::project::Project;

const PIECES: [&str; 2] =
    [include_str!("../../supabase/adopt/old_words.sql"), include_str!("../../supabase/adopt/frontend.sql")];

/// What that app had written of a template, a job and an image, which are ours by now.
async fn written_before(project: &Project, job: Uuid) {
    let written = format!(
        r#"
        create table public.image_generation_templates_before_carousel as
          select id, 'https://old/thumb.png'::text as thumbnail_url, '["https://old/a.png"]'::jsonb as source_images, 'old prompt'::text as default_prompt,
            '{{"aspect_ratio":"4:5"}}'::jsonb as default_settings, 7 as usage_count, '{job}'::uuid as job_id
          from public.image_generation_templates;
        create table public.image_generation_jobs_before_carousel as
          select id, 'Old name'::text as name, 'Old template'::text as template_name, 'Words'::text as template_description,
            '{{"quality":"hd"}}'::jsonb as settings
          from public.image_generation_jobs where id = '{job}';
        create table public.generated_carousel_images_before_carousel as
          select id, 'https://old/a.png'::text as source_image_url, 'https://old/made.png'::text as generated_image_url, 'old words'::text as prompt_used,
            '{{}}'::jsonb as settings_used
          from public.generated_carousel_images where job_id = '{job}';"#
    );
    project.owner.batch_execute(&written).await.unwrap();
}

/// Two completed jobs of one image each, the first of which that app had made.
async fn jobs(project: &Project, user: Uuid) -> [Uuid; 2] {
    let client = project.signed_in(user).await;
    let jobs = [insert_job(&client, user, &[]).await.unwrap(), insert_job(&client, user, &[]).await.unwrap()];
    for job in jobs {
        let done = format!(
            "insert into public.generated_carousel_images
               (job_id, user_id, carousel_id, variant, slide, aspect_ratio, status, storage_path, width, height, bytes, mime_type, sha256, prompt, completed_at)
             values ('{job}', '{user}', gen_random_uuid(), 1, 1, '1:1', 'completed', '{user}/jobs/{job}/1.png', 1, 1, 1, 'image/png', '00', 'sent', now());
             update public.image_generation_jobs set status = 'completed', stage = 'finished', progress = 100, completed_images = 1, finished_at = now(),
               started_at = now() where id = '{job}'"
        );
        project.owner.batch_execute(&done).await.unwrap();
    }
    jobs
}

#[tokio::test]
async fn what_the_app_had_written_is_kept_and_the_rest_is_told_of_our_rows() {
    let project = Project::new().await;
    let user = project.user().await;
    let [old, ours] = jobs(&project, user).await;
    written_before(&project, old).await;
    let before = "(select jsonb_agg(updated_at order by id) from public.image_generation_jobs)";
    let changed = value(&project.owner, before).await;
    project.let_frontend_go_on("https://p/").await;
    assert_eq!(value(&project.owner, before).await, changed, "nothing of ours takes notice");

    let owner = &project.owner;
    let of_job = |job: Uuid| {
        format!(
            "select jsonb_build_array(name, template_name, template_description, settings, status, completed_at = finished_at) from public.image_generation_jobs where id = '{job}'"
        )
    };
    assert_eq!(
        value(owner, &of_job(old)).await,
        r#"["Old name", "Old template", "Words", {"quality": "hd"}, "completed", true]"#
    );
    assert_eq!(
        value(owner, &of_job(ours)).await,
        r#"["a cup", "a cup", null, {"aspect_ratio": "1:1"}, "completed", true]"#
    );
    let of_image = |job: Uuid| {
        format!(
            "select jsonb_build_array(carousel_index, image_index, source_image_url, generated_image_url, prompt_used, settings_used)
             from public.generated_carousel_images where job_id = '{job}'"
        )
    };
    assert_eq!(
        value(owner, &of_image(old)).await,
        r#"[0, 0, "https://old/a.png", "https://old/made.png", "old words", {}]"#
    );
    let told = format!(
        r#"[0, 0, "https://p/{user}/sources/a.png", "https://p/{user}/jobs/{ours}/1.png", "sent", {{"aspect_ratio": "1:1"}}]"#
    );
    assert_eq!(value(owner, &of_image(ours)).await, told);
    let of_template = "select jsonb_build_array(thumbnail_url, source_images, default_prompt, default_settings, usage_count, use_count, job_id) from public.image_generation_templates";
    let told = format!(
        r#"["https://old/thumb.png", ["https://old/a.png"], "old prompt", {{"aspect_ratio": "4:5"}}, 7, 7, "{old}"]"#
    );
    assert_eq!(value(owner, of_template).await, told);
}

#[tokio::test]
async fn a_template_that_is_changed_says_so_in_the_old_columns() {
    let project = Project::new().await;
    project.let_frontend_go_on("https://p/").await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let made = format!(
        r#"insert into public.image_generation_templates (user_id, name, source_images, default_prompt, default_settings)
           values ('{user}', 'a', '["https://x.co/storage/v1/object/public/generated-carousels/{user}/templates/a%20b.png"]', 'words', '{{"aspect_ratio":"3:2","temperature":1}}')"#
    );
    run(&client, &made).await.unwrap();
    let row = "select jsonb_build_array(source_paths, aspect_ratios, thumbnail_url, default_prompt, default_settings) from public.image_generation_templates";
    let told = format!(
        r#"[["{user}/templates/a b.png"], ["3:2"], "https://p/{user}/templates/a%20b.png", "words", {{"temperature": 1, "aspect_ratio": "3:2"}}]"#
    );
    assert_eq!(value(&project.owner, row).await, told);
    let changed = format!(
        "update public.image_generation_templates set source_paths = '{{{user}/sources/c.png}}', prompt = 'others', aspect_ratios = '{{1:1}}'"
    );
    run(&client, &changed).await.unwrap();
    let told = format!(
        r#"[["{user}/sources/c.png"], ["1:1"], "https://p/{user}/sources/c.png", "others", {{"temperature": 1, "aspect_ratio": "1:1"}}]"#
    );
    assert_eq!(value(&project.owner, row).await, told);
    assert_eq!(
        value(&project.owner, "select source_images from public.image_generation_templates").await,
        format!(r#"["https://p/{user}/sources/c.png"]"#)
    );
}

#[tokio::test]
async fn words_from_before_have_an_end_as_well() {
    let project = Project::new().await;
    project.let_frontend_go_on("https://p/").await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let long = [("name", "'x'"), ("template_name", "'x'"), ("template_description", "repeat('x', 300000)")];
    assert_eq!(insert_job(&client, user, &long).await.unwrap_err().to_string(), "23514 words_from_before_are_few");
    for (column, long) in
        [("default_prompt", "repeat('x', 300000)"), ("default_settings", "to_jsonb(repeat('x', 300000))")]
    {
        let made = format!(
            "insert into public.image_generation_templates (name, source_paths, {column}) values ('a', '{{{user}/sources/a.png}}', {long})"
        );
        assert_eq!(run(&client, &made).await.unwrap_err().to_string(), "23514 words_from_before_are_few", "{column}");
    }
}

#[tokio::test]
async fn where_pictures_have_no_public_address_nothing_is_changed() {
    let project = Project::new().await;
    let address = "update carousel_private.adoption set public_address = 'https://p/'";
    for (address, wrong) in [("", "public addresses"), (address, "is not public")] {
        let piece = format!("begin; {}; {address}; {}; commit", PIECES[0], PIECES[1]);
        let refused = project.owner.batch_execute(&piece).await.unwrap_err();
        let refused = refused.as_db_error().unwrap().message().to_owned();
        assert!(refused.contains(wrong), "{refused}");
        project.owner.batch_execute("rollback").await.unwrap();
    }
    let columns = "select count(*) from pg_attribute where attrelid = 'public.image_generation_jobs'::regclass and attname = 'template_name'";
    assert_eq!(value(&project.owner, columns).await, "0");
}

#[tokio::test]
async fn the_way_back_takes_the_piece_along() {
    let mut project = Project::before_carousel().await;
    let user = project.user().await;
    let job = format!(
        "insert into public.image_generation_jobs (user_id, name, template_name, status, prompt) values ('{user}', 'a', 'b', 'queued', 'c')"
    );
    project.owner.batch_execute(&job).await.unwrap();
    let rows = "select jsonb_agg(to_jsonb(job)) from public.image_generation_jobs job";
    let before = (catalog::read(&project.admin().await).await, value(&project.owner, rows).await);
    let address = Some("https://p/storage/v1/object/public/generated-carousels/".to_owned());
    let adoption = Adoption { frontend: true, public_address: address, ..Adoption::default() };
    migrations::adopt(&mut project.owner, &adoption, true).await.unwrap();
    project.owner.batch_execute("select carousel_private.undo_adoption()").await.unwrap();
    let after = (catalog::read(&project.admin().await).await, value(&project.owner, rows).await);
    let changed: Vec<&String> = before.0.symmetric_difference(&after.0).collect();
    assert_eq!((changed, after.1), (Vec::new(), before.1));
    assert!(
        before.0.iter().any(|line| line.contains("Users can update their own jobs")),
        "the app's own was looked at"
    );
}
