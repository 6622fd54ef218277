//! How much a row may say: words have a total, whatever part of the row they stand in.

use crate::client::{insert_job, run, value};
use crate::project::Project;

const MOST: usize = 262_144;

/// Slide prompts of this many bytes together: as SQL.
fn slides(bytes: usize) -> String {
    format!(
        "(select array_agg(repeat('a', {bytes} / 10 + ({bytes} % 10 >= number)::int)) from generate_series(1, 10) as number)"
    )
}

#[tokio::test]
async fn a_jobs_words_are_at_most_256_kb_together() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    // `{}` twice, for the style and the variables, and the prompt.
    let rest = "a cup".len() + 2 * "{}".len();
    insert_job(&client, user, &[("slide_prompts", &slides(MOST - rest))]).await.unwrap();
    let refusal = insert_job(&client, user, &[("slide_prompts", &slides(MOST - rest + 1))]).await.unwrap_err();
    assert_eq!(refusal.to_string(), "23514 words_too_long", "{refusal:?}");
    assert!(refusal.message.contains("262145 bytes") && refusal.hint.contains("262144"), "{refusal:?}");
    // Bytes are counted, and not letters; and what its variables make of it.
    let wide = "array_fill(repeat('😀', 10000), array[7])";
    let filled = [
        ("slide_prompts", "array_fill('{{a}}'::text, array[30])"),
        ("variables", "jsonb_build_object('a', repeat('b', 10000))"),
    ];
    for columns in [&[("slide_prompts", wide)] as &[_], &filled] {
        let refusal = insert_job(&client, user, columns).await.unwrap_err();
        assert_eq!(refusal.to_string(), "23514 words_too_long", "{refusal:?}");
    }
    assert_eq!(value(&project.owner, "select count(*) from public.image_generation_jobs").await, "1");
}

#[tokio::test]
async fn a_templates_words_and_tags_have_an_end_and_one_of_before_stays_usable() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let insertion = |tag: &str, slide: &str| {
        format!(
            "insert into public.image_generation_templates (name, source_paths, tags, slide_prompts)
             values ('mine', array['{user}/sources/a.png'], array_fill({tag}, array[50]), array_fill({slide}, array[10]))"
        )
    };
    run(&client, &insertion("repeat('a', 163)", "repeat('ä', 13100)")).await.unwrap();
    // What was taken before: 60 MB.
    for (tag, slide) in
        [("repeat('a', 164)", "'a'::text"), ("repeat('a', 1200000)", "'a'::text"), ("'a'::text", "repeat('ä', 13108)")]
    {
        let refusal = run(&client, &insertion(tag, slide)).await.unwrap_err();
        assert_eq!(refusal.to_string(), "23514 words_too_long", "{refusal:?}");
    }
    let longer = "update public.image_generation_templates set tags = array_fill(repeat('a', 6000), array[50]), slide_prompts = '{}'";
    assert_eq!(run(&client, longer).await.unwrap_err().to_string(), "23514 words_too_long");

    let lift = "alter table public.image_generation_templates disable trigger require_few_words";
    project.owner.batch_execute(&format!("{lift}; {longer}; {}", lift.replace("disable", "enable"))).await.unwrap();
    run(&client, "update public.image_generation_templates set is_favorite = true").await.unwrap();
    let template = format!("'{}'", value(&client, "select id from public.image_generation_templates").await);
    insert_job(&client, user, &[("template_id", &template)]).await.unwrap();
    assert_eq!(run(&client, longer).await.unwrap_err().to_string(), "23514 words_too_long");
}
