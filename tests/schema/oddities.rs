//! Rows from before carousel that are odd in themselves, and what stops an adoption half-way.

use carousel::migrations::{self, Adoption};

use crate::adoption::Old;

#[tokio::test]
async fn rows_that_are_odd_in_themselves_come_over_within_our_bounds() {
    let mut old = Old::new("odd_rows").await;
    let user = old.user().await;
    for change in [
        "name = '', prompt = ''",
        "name = repeat('n', 300), prompt = repeat('p', 40000), message = repeat('m', 3000)",
        "variants = 0, progress = null, message = null",
        "variants = -3, settings = null",
        "variants = 500, settings = '[1, \"x\"]'",
        "settings = '\"words\"', template_description = '{\"not\": json'",
        "settings = '{\"aspect_ratio\": 5, \"quality\": [], \"border_color\": \"\"}', template_description = '[null, 1, {}]'",
        "settings = '{\"aspect_ratio\": \"7:3\", \"quality\": \"best\"}', template_id = null",
        "completed_at = created_at - interval '1 day', updated_at = null",
        "created_at = null, completed_at = null",
        "status = 'processing', variants = 500",
    ] {
        let job = old.job(user, 2, 1, "completed").await;
        old.owner
            .batch_execute(&format!("update public.image_generation_jobs set {change} where id = '{job}'"))
            .await
            .unwrap();
    }
    let odd = "update public.generated_carousel_images set width = 0, height = -1, prompt_used = repeat('u', 40000), created_at = null;
        update public.image_generation_templates set name = ' ', description = repeat('d', 3000), default_settings = '[]', usage_count = -1,
          is_favorite = null, default_prompt = repeat('p', 40000)";
    old.owner.batch_execute(odd).await.unwrap();

    let carried = migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap();
    assert_eq!((carried.templates, carried.jobs, carried.images), ((11, 11), (11, 11), (22, 22)));
}

#[tokio::test]
async fn what_stops_it_half_way_leaves_everything_as_it_was() {
    let mut old = Old::new("half_way").await;
    let user = old.user().await;
    old.job(user, 2, 1, "completed").await;
    // The tables have stepped aside when carousel's first migration finds this.
    old.owner.batch_execute("create table public.carousel_uploads (id integer)").await.unwrap();
    let before = old.everything().await;
    let refused = format!("{:#}", migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap_err());
    assert!(refused.contains("nothing was changed") && refused.contains("carousel_uploads"), "{refused}");
    assert_eq!(old.everything().await, before);
}

#[tokio::test]
async fn the_way_back_loses_nothing_newer_without_a_word() {
    let mut old = Old::new("newer").await;
    let user = old.user().await;
    old.job(user, 2, 1, "completed").await;
    migrations::adopt(&mut old.owner, &Adoption::default(), true).await.unwrap();
    let template = "insert into public.image_generation_templates (user_id, name, source_paths, prompt)
        values ($1, 'new', array[$1::text || '/sources/1.png'], 'words')";
    old.owner.execute(&template.replace("$1::text", "$1::uuid::text"), &[&user]).await.unwrap();

    let refused = old.owner.execute("select carousel_private.undo_adoption()", &[]).await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(
        refused.message(),
        "0 jobs and 1 templates were made since carousel came, and the tables of before have no place for them"
    );
    let both = "select count(*) from public.image_generation_templates";
    assert_eq!(old.one(both).await, "2");
    old.owner.execute("select carousel_private.undo_adoption(lose_newer => true)", &[]).await.unwrap();
    assert_eq!(old.one(both).await, "1");
}
