//! Templates: what a job takes from one, and how sources that are new make one by themselves.

use crate::client::{insert_job, insertion, pid, run, until_it_waits, value};
use crate::project::Project;

const COUNT: &str = "select count(*) from public.image_generation_templates";

/// Columns of the only job, or of the newest one.
async fn newest(project: &Project, columns: &str) -> String {
    let newest = format!("select row({columns}) from public.image_generation_jobs order by created_at desc limit 1");
    value(&project.owner, &newest).await
}

#[tokio::test]
async fn a_job_takes_what_it_leaves_out_from_its_template() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let template = format!(
        "insert into public.image_generation_templates (name, source_paths, prompt, slide_prompts, aspect_ratios, variants, style)
         values ('mine', array['{user}/sources/b.png'], 'a bowl', '{{one,two}}', '{{4:5,9:16}}', 3, '{{\"mood\": \"warm\"}}') returning id"
    );
    let template: uuid::Uuid = client.query_one(&template, &[]).await.unwrap().get(0);
    let chosen = format!("insert into public.image_generation_jobs (template_id) values ('{template}')");
    run(&client, &chosen).await.unwrap();
    let all = "template_id, source_paths, prompt, slide_prompts, aspect_ratios, variants, style, total_images";
    assert_eq!(
        newest(&project, all).await,
        format!(
            r#"({template},{{{user}/sources/b.png}},"a bowl","{{one,two}}","{{4:5,9:16}}",3,"{{""mood"": ""warm""}}",12)"#
        )
    );
    assert_eq!(value(&client, "select row(count(*), sum(use_count), max(last_used_at) = max(updated_at)) from public.image_generation_templates").await, "(1,1,t)");

    // What it brings itself wins, an empty list as well; a null is as good as nothing.
    let own = format!(
        "insert into public.image_generation_jobs (template_id, prompt, slide_prompts, variants, style, aspect_ratios)
         values ('{template}', 'a cup', '{{}}', 1, '{{}}', null)"
    );
    run(&client, &own).await.unwrap();
    let some = "prompt, slide_prompts, variants, style, aspect_ratios, total_images";
    assert_eq!(newest(&project, some).await, r#"("a cup",{},1,{},"{4:5,9:16}",2)"#);
    let elsewhere = format!("array['{user}/sources/c.png']");
    insert_job(&client, user, &[("template_id", &format!("'{template}'")), ("source_paths", &elsewhere)])
        .await
        .unwrap();
    assert_eq!(newest(&project, "template_id, source_paths").await, format!("({template},{{{user}/sources/c.png}})"));
    assert_eq!(
        value(&client, "select row(count(*), sum(use_count)) from public.image_generation_templates").await,
        "(1,3)"
    );
}

#[tokio::test]
async fn new_sources_make_a_template_and_the_same_sources_find_it() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let settings = [
        ("slide_prompts", "'{one,two}'"),
        ("variants", "2"),
        ("aspect_ratios", "'{9:16}'"),
        ("style", "'{\"mood\": \"warm\"}'"),
    ];
    insert_job(&client, user, &settings).await.unwrap();
    let template = "select row(name, prompt, slide_prompts, variants, aspect_ratios, style, source_paths, use_count) from public.image_generation_templates";
    assert_eq!(
        value(&client, template).await,
        format!(r#"("a cup","a cup","{{one,two}}",2,{{9:16}},"{{""mood"": ""warm""}}",{{{user}/sources/a.png}},1)"#)
    );
    insert_job(&client, user, &[("prompt", "'another'")]).await.unwrap();
    let used = "select row(count(*), min(use_count), min(prompt), bool_and(last_used_at is not null)) from public.image_generation_templates";
    assert_eq!(value(&client, used).await, r#"(1,2,"a cup",t)"#);
    assert_eq!(value(&client, "select count(distinct template_id) from public.image_generation_jobs").await, "1");

    let swapped =
        [("source_paths", "array['{user}/sources/b.png', '{user}/sources/a.png']"), ("title", "e' \\n Two cups '")];
    insert_job(&client, user, &swapped).await.unwrap();
    let wordless = [("source_paths", "array['{user}/sources/c.png']"), ("prompt", "''"), ("slide_prompts", "'{one}'")];
    insert_job(&client, user, &wordless).await.unwrap();
    let names =
        value(&client, "select array_agg(name order by created_at) from public.image_generation_templates").await;
    assert!(names.starts_with(r#"{"a cup","Two cups","Carousel of "#), "{names}");

    // A template that is gone leaves its jobs, and its sources make a new one.
    run(&client, "delete from public.image_generation_templates where name = 'a cup'").await.unwrap();
    assert_eq!(
        value(&client, "select count(*) from public.image_generation_jobs where template_id is null").await,
        "2"
    );
    insert_job(&client, user, &[]).await.unwrap();
    assert_eq!(value(&client, COUNT).await, "3");
}

#[tokio::test]
async fn two_jobs_at_once_make_one_template() {
    let project = Project::new().await;
    let user = project.user().await;
    let (one, two) = (project.signed_in(user).await, project.signed_in(user).await);
    one.batch_execute("begin").await.unwrap();
    insert_job(&one, user, &[]).await.unwrap();
    let second = pid(&two).await;
    let (_, inserted) = tokio::join!(
        async {
            until_it_waits(&project.owner, second).await;
            one.batch_execute("commit").await.unwrap();
        },
        insert_job(&two, user, &[])
    );
    inserted.unwrap();
    assert_eq!(
        value(&one, "select row(count(*), sum(use_count)) from public.image_generation_templates").await,
        "(1,2)"
    );
    assert_eq!(value(&one, "select count(distinct template_id) from public.image_generation_jobs").await, "1");
}

#[tokio::test]
async fn a_repeated_request_makes_no_second_job_and_uses_no_template() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    let client = project.signed_in(user).await;
    let key = ("idempotency_key", "'again'");
    let elsewhere = ("source_paths", "array['{user}/sources/b.png']");
    let first = insert_job(&client, user, &[key]).await.unwrap();
    let refusal = insert_job(&client, user, &[key, elsewhere]).await.unwrap_err();
    assert_eq!(refusal.to_string(), "23505 image_generation_jobs_idempotency_key");
    let same_id = ("id", format!("'{first}'"));
    let same_id = (same_id.0, same_id.1.as_str());
    for (columns, more) in [
        (vec![key], "on conflict do nothing"),
        (vec![key, elsewhere], "on conflict do nothing"),
        (vec![key, elsewhere], "on conflict (user_id, idempotency_key) do nothing"),
        (vec![same_id, elsewhere], "on conflict (id) do nothing"),
    ] {
        let rows = client.query(&insertion(user, &columns, more), &[]).await.unwrap();
        assert!(rows.is_empty(), "{columns:?} {more}");
    }
    assert_eq!(
        value(&client, "select row(count(*), sum(use_count)) from public.image_generation_templates").await,
        "(1,1)"
    );
    assert_eq!(value(&client, "select count(*) from public.image_generation_jobs").await, "1");
    assert_eq!(value(&project.owner, "select count(*) from carousel_private.queue").await, "1");
    insert_job(&project.signed_in(other).await, other, &[key]).await.expect("another person's key is their own");
}

#[tokio::test]
async fn a_template_carries_where_the_slides_come_from_and_a_job_that_says_so_says_all_of_it() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let photos = format!("array['{user}/sources/a.png', '{user}/sources/b.png', '{user}/sources/c.png']");
    let slides = "slides_from, slide_sources, total_images";
    let saved = "select row(slides_from, slide_sources, version) from public.image_generation_templates";

    // Made by itself.
    insert_job(&client, user, &[("source_paths", &photos), ("slides_from", "'sources'"), ("variants", "2")])
        .await
        .unwrap();
    assert_eq!(newest(&project, slides).await, "(sources,,6)");
    assert_eq!(value(&client, saved).await, "(sources,,1)");
    let id = value(&client, "select id from public.image_generation_templates").await;
    let of_template = |columns: &str, values: &str| {
        format!("insert into public.image_generation_jobs (template_id{columns}) values ('{id}'{values})")
    };
    run(&client, &of_template("", "")).await.unwrap();
    assert_eq!(newest(&project, slides).await, "(sources,,6)");

    // Changed: another version.
    let change = "update public.image_generation_templates
        set slides_from = 'prompts', slide_prompts = '{one,two}', slide_sources = '[[1, 2], [3]]'";
    run(&client, change).await.unwrap();
    assert_eq!(value(&client, saved).await, r#"(prompts,"[[1, 2], [3]]",2)"#);
    run(&client, "update public.image_generation_templates set slide_sources = '[[1], [2, 3]]'").await.unwrap();
    assert_eq!(value(&client, saved).await, r#"(prompts,"[[1], [2, 3]]",3)"#);
    run(&client, &of_template("", "")).await.unwrap();
    assert_eq!(newest(&project, slides).await, r#"(prompts,"[[1], [2, 3]]",4)"#);

    // The job's own words go before the template's.
    run(&client, &of_template(", slide_sources", ", '[[3], [2, 1]]'")).await.unwrap();
    assert_eq!(newest(&project, slides).await, r#"(prompts,"[[3], [2, 1]]",4)"#);
    run(&client, &of_template(", slides_from", ", 'prompts'")).await.unwrap();
    assert_eq!(newest(&project, slides).await, "(prompts,,4)");
    run(&client, &of_template(", slides_from, slide_prompts", ", 'sources', '{}'")).await.unwrap();
    assert_eq!(newest(&project, slides).await, "(sources,,6)");
    // And what does not go together any more is refused.
    let refusal = run(&client, &of_template(", slide_prompts", ", '{one}'")).await.unwrap_err();
    assert_eq!(refusal.to_string(), "23514 slide_sources_invalid");
    assert!(refusal.hint.contains("pass slides_from prompts and no slide_sources"), "{refusal:?}");
}
