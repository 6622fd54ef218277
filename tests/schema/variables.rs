//! `{{name}}` in prompts: filled in at insert from what the job and its template say, and never half.

use tokio_postgres::Client;
use uuid::Uuid;

use crate::client::{insert_job, run, value};
use crate::project::Project;

/// The finished prompt of a job with this prompt and these variables, both as SQL.
async fn filled(client: &Client, user: Uuid, prompt: &str, variables: &str) -> String {
    let job = insert_job(client, user, &[("prompt", prompt), ("variables", variables)]).await;
    let job = job.unwrap_or_else(|refusal| panic!("{prompt} with {variables}: {refusal:?}"));
    value(client, &format!("select prompt from public.image_generation_jobs where id = '{job}'")).await
}

/// A template of this person with these columns beside name and sources, as SQL.
async fn template(client: &Client, user: Uuid, columns: &str, values: &str) -> Uuid {
    let insert = format!(
        "insert into public.image_generation_templates (name, source_paths, {columns})
         values ('mine', array['{user}/sources/t.png'], {values}) returning id"
    );
    client.query_one(&insert, &[]).await.expect("a template can be made").get(0)
}

#[tokio::test]
async fn each_name_is_replaced_once_and_all_else_stays_as_it_is() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    for (prompt, variables, expected) in [
        ("a {{product}} on {{ground}}", r#"{"product": "red cup", "ground": "sand"}"#, "a red cup on sand"),
        ("{{a}}{{a}} {{ a }}{{b_2}}", r#"{"a": "x", "b_2": "y"}"#, "xx xy"),
        ("{{{a}}}", r#"{"a": "x"}"#, "{x}"),
        ("a {{gone}} cup", r#"{"gone": ""}"#, "a  cup"),
        // A value is words, whatever stands in it.
        ("{{a}} {{b}}", r#"{"a": "{{b}} \\1 \\& $1 %s", "b": "{{a}}"}"#, r"{{b}} \1 \& $1 %s {{a}}"),
        ("ä{{a}}日本\n{{a}}", r#"{"a": "ü"}"#, "äü日本\nü"),
        // None of these is a name.
        (
            "{{}} {{ }} {{A}} {{2a}} {{a-b}} {{a.b}} {a} {{a} {{a",
            r#"{"a": "x"}"#,
            "{{}} {{ }} {{A}} {{2a}} {{a-b}} {{a.b}} {a} {{a} {{a",
        ),
        ("{{a\n}}", r#"{"a": "x"}"#, "{{a\n}}"),
        ("a cup \\ 'n $1 %", r#"{"unused": "x"}"#, "a cup \\ 'n $1 %"),
    ] {
        let sql = |text: &str| format!("'{}'", text.replace('\'', "''"));
        assert_eq!(filled(&client, user, &sql(prompt), &sql(variables)).await, expected, "{prompt} with {variables}");
    }
}

#[tokio::test]
async fn a_jobs_values_stand_before_its_templates_defaults() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let template = template(
        &client,
        user,
        "prompt, slide_prompts, variables",
        r#"'a {{product}} in {{place}}', '{"{{place}} by day","as it is"}', '{"product": "cup", "place": "Rome"}'"#,
    )
    .await;
    let made = "select row(prompt, slide_prompts, variables) from public.image_generation_jobs order by created_at desc limit 1";
    let use_it = |more: &str, values: &str| {
        format!("insert into public.image_generation_jobs (template_id {more}) values ('{template}' {values})")
    };
    for (more, values, expected) in [
        ("", "", r#"("a cup in Rome","{""Rome by day"",""as it is""}","{""place"": ""Rome"", ""product"": ""cup""}")"#),
        (
            ", variables",
            ", null",
            r#"("a cup in Rome","{""Rome by day"",""as it is""}","{""place"": ""Rome"", ""product"": ""cup""}")"#,
        ),
        (
            ", variables",
            r#", '{"place": "Oslo", "more": "x"}'"#,
            r#"("a cup in Oslo","{""Oslo by day"",""as it is""}","{""more"": ""x"", ""place"": ""Oslo"", ""product"": ""cup""}")"#,
        ),
        // Its own words may name what the template knows.
        (
            ", prompt, slide_prompts",
            ", 'only {{product}}', '{}'",
            r#"("only cup",{},"{""place"": ""Rome"", ""product"": ""cup""}")"#,
        ),
    ] {
        run(&client, &use_it(more, values)).await.unwrap();
        assert_eq!(value(&client, made).await, expected, "{more} {values}");
    }
    let kept =
        "select row(prompt, slide_prompts, variables, version, use_count) from public.image_generation_templates";
    assert_eq!(
        value(&client, kept).await,
        r#"("a {{product}} in {{place}}","{""{{place}} by day"",""as it is""}","{""place"": ""Rome"", ""product"": ""cup""}",1,4)"#
    );
}

#[tokio::test]
async fn a_name_without_a_value_is_refused_before_anything_is_made() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let long = format!("'{{{{{}}}}}'", "a".repeat(1000));
    for (columns, name) in [
        (vec![("prompt", "'a {{product}} in {{place}}'")], "product"),
        (vec![("prompt", "'a {{product}} in {{place}}'"), ("variables", r#"'{"product": "cup"}'"#)], "place"),
        (vec![("slide_prompts", "array['one', '{{two}}']"), ("variables", r#"'{"one": "1"}'"#)], "two"),
        (vec![("prompt", "'{{a}}'"), ("variables", r#"'{"a": null}'"#)], "a"),
        (vec![("prompt", "'{{a}}'"), ("variables", "'[\"a\"]'")], "a"),
        (vec![("prompt", long.as_str())], &"a".repeat(80)),
    ] {
        let refusal = insert_job(&client, user, &columns).await.expect_err("a name has no value");
        assert_eq!(refusal.to_string(), "23514 variable_missing", "{columns:?}: {refusal:?}");
        assert_eq!(refusal.message, format!("the variable {name} has no value"));
        assert_eq!(
            refusal.hint,
            format!("Pass variables with {{\"{name}\": \"...\"}}, or give the template a default.")
        );
    }
    for table in ["public.image_generation_jobs", "public.image_generation_templates", "carousel_private.queue"] {
        assert_eq!(value(&project.owner, &format!("select count(*) from {table}")).await, "0", "{table}");
    }
    // Half a template is fine: whoever uses it gives the rest.
    let half = template(&client, user, "prompt", "'a {{product}}'").await;
    let job = ("template_id", format!("'{half}'"));
    let job = (job.0, job.1.as_str());
    let words = ("prompt", "null");
    assert_eq!(insert_job(&client, user, &[job, words]).await.unwrap_err().to_string(), "23514 variable_missing");
    insert_job(&client, user, &[job, words, ("variables", r#"'{"product": "cup"}'"#)]).await.unwrap();
}

#[tokio::test]
async fn the_finished_words_are_held_to_the_limits() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let many = "jsonb_build_object('a', repeat('ä', 8000))";
    for (columns, expected) in [
        (vec![("prompt", "repeat('{{a}}', 4) || 'b'"), ("variables", many)], "23514 prompt_too_long"),
        (vec![("slide_prompts", "array['one', repeat('{{a}}', 5)]"), ("variables", many)], "23514 prompt_too_long"),
        // Each name would bring 16 kB: a hundred megabytes, if they were put together first.
        (
            vec![("prompt", "repeat('{{a}}', 6400)"), ("variables", "jsonb_build_object('a', repeat('b', 16000))")],
            "23514 prompt_too_long",
        ),
        (
            vec![("slide_prompts", "array_fill('{{a}}{{a}}'::text, array[50000])"), ("variables", many)],
            "23514 too_many_images",
        ),
        (vec![("prompt", "'{{a}}'"), ("variables", r#"'{"a": " \n"}'"#)], "23514 prompt_missing"),
        (
            vec![("prompt", "''"), ("slide_prompts", "array['{{a}}', 'two']"), ("variables", r#"'{"a": ""}'"#)],
            "23514 prompt_missing",
        ),
    ] {
        let refusal = insert_job(&client, user, &columns).await.expect_err("it is too long, or empty");
        assert_eq!(refusal.to_string(), expected, "{columns:?}: {refusal:?}");
    }
    // What the worker adds of its own takes 32.
    let full = filled(&client, user, "repeat('{{a}}', 4)", "jsonb_build_object('a', repeat('ä', 7992))").await;
    assert_eq!(full.chars().count(), 31_968);
    // Long as it stands there, and short when it is filled in: a job, but no template.
    let sources = ("source_paths", "array['{user}/sources/long.png']");
    let names = ("prompt", "'a cup' || repeat('{{empty}}', 4000)");
    insert_job(&client, user, &[sources, names, ("variables", r#"'{"empty": ""}'"#)]).await.unwrap();
    let newest = "select row(prompt, template_id, template_version) from public.image_generation_jobs order by created_at desc limit 1";
    assert_eq!(value(&client, newest).await, r#"("a cup",,)"#);
}

#[tokio::test]
async fn a_template_made_by_itself_keeps_the_names_and_their_values() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let columns = [
        ("prompt", "'a {{product}} cup'"),
        ("slide_prompts", "array['{{product}} one']"),
        ("variables", r#"'{"product": "red"}'"#),
    ];
    insert_job(&client, user, &columns).await.unwrap();
    let made = "select row(name, prompt, slide_prompts, variables, version) from public.image_generation_templates";
    let expected = r#"("a red cup","a {{product}} cup","{""{{product}} one""}","{""product"": ""red""}",1)"#;
    assert_eq!(value(&client, made).await, expected);
    // The same sources find it again, and bring their own words: it stays as it is.
    insert_job(&client, user, &[("prompt", "'a {{product}} bowl'"), ("variables", r#"'{"product": "blue"}'"#)])
        .await
        .unwrap();
    assert_eq!(value(&client, made).await, expected);
    let jobs = "select array_agg(row(prompt, variables, template_version) order by created_at) from public.image_generation_jobs";
    assert_eq!(
        value(&client, jobs).await,
        r#"{"(\"a red cup\",\"{\"\"product\"\": \"\"red\"\"}\",1)","(\"a blue bowl\",\"{\"\"product\"\": \"\"blue\"\"}\",1)"}"#
    );
}

#[tokio::test]
async fn a_job_keeps_the_words_and_the_version_that_it_was_made_with() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let template = template(&client, user, "prompt, variables", r#"'a {{product}}', '{"product": "cup"}'"#).await;
    let use_it = format!("insert into public.image_generation_jobs (template_id) values ('{template}') returning id");
    let job: Uuid = client.query_one(&use_it, &[]).await.unwrap().get(0);
    let change = async |columns: &str| {
        run(&client, &format!("update public.image_generation_templates set {columns}")).await.unwrap();
        value(&client, "select version from public.image_generation_templates").await
    };
    assert_eq!(change("name = 'other', description = 'x', tags = '{a}', is_favorite = true").await, "1");
    assert_eq!(change("prompt = prompt, style = '{}'").await, "1", "nothing has changed");
    for (count, content) in [
        "prompt = 'the {{product}}'",
        r#"variables = '{"product": "bowl"}'"#,
        "slide_prompts = '{one}'",
        "aspect_ratios = '{4:5}'",
        "variants = 2",
        r#"style = '{"mood": "warm"}'"#,
        "source_paths = source_paths || source_paths",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(change(content).await, (count + 2).to_string(), "{content}");
    }
    client.query_one(&use_it, &[]).await.unwrap();
    let jobs = "select array_agg(row(prompt, variables, template_version) order by created_at) from public.image_generation_jobs";
    let both = r#"{"(\"a cup\",\"{\"\"product\"\": \"\"cup\"\"}\",1)","(\"the bowl\",\"{\"\"product\"\": \"\"bowl\"\"}\",8)"}"#;
    assert_eq!(value(&client, jobs).await, both);

    // A retry makes what the job asked for, whatever the template says by now.
    let request = |column: &str| format!("update public.image_generation_jobs set {column} = now() where id = '{job}'");
    run(&client, &request("cancel_requested_at")).await.unwrap();
    run(&client, &request("retry_requested_at")).await.unwrap();
    assert_eq!(
        value(&client, &format!("select status from public.image_generation_jobs where id = '{job}'")).await,
        "pending"
    );
    assert_eq!(value(&client, jobs).await, both);
    run(&client, "delete from public.image_generation_templates").await.unwrap();
    assert_eq!(value(&client, jobs).await, both, "nor does its end change them");
    assert_eq!(value(&client, "select count(template_id) from public.image_generation_jobs").await, "0");
}

/// Not even with the secret key, which may write every column.
#[tokio::test]
async fn nobody_writes_a_version() {
    let project = Project::new().await;
    let user = project.user().await;
    let service = project.anonymous().await;
    service.batch_execute("set role service_role").await.unwrap();
    let insert = format!(
        "insert into public.image_generation_templates (user_id, name, source_paths, prompt, version)
         values ('{user}', 'mine', array['{user}/sources/a.png'], 'a cup', 7)"
    );
    run(&service, &insert).await.unwrap();
    run(&service, "update public.image_generation_templates set version = 9").await.unwrap();
    assert_eq!(value(&service, "select version from public.image_generation_templates").await, "1");
    let owner = format!("'{user}'");
    insert_job(&service, user, &[("user_id", &owner), ("template_version", "5")]).await.unwrap();
    assert_eq!(value(&service, "select template_version from public.image_generation_jobs").await, "1");
}
