//! Templates are found by their words, and each person finds only their own.

use crate::client::{run, value};
use crate::project::Project;

const TEMPLATES: &str = "public.image_generation_templates";

#[tokio::test]
async fn a_template_is_found_by_any_of_its_words() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    let (client, stranger) = (project.signed_in(user).await, project.signed_in(other).await);
    let insert = |user| {
        format!(
            "insert into {TEMPLATES} (name, description, source_paths, prompt, slide_prompts, tags)
             values ('Red Mugs', 'für den Sommer', array['{user}/sources/hidden.png'], '{{{{product}}}} at 100%', '{{one,\"two cats\"}}', '{{sale,日本}}'),
                ('Plain', null, array['{user}/sources/hidden.png'], null, '{{}}', '{{}}')"
        )
    };
    run(&client, &insert(user)).await.unwrap();
    run(&stranger, &insert(other)).await.unwrap();
    let found = async |pattern: &str| {
        let names = format!(
            "select coalesce(string_agg(name, ' '), '') from {TEMPLATES} template where template.search_text ilike '{pattern}'"
        );
        value(&client, &format!("({names})")).await
    };
    for pattern in ["%mug%", "%SOMMER%", "%für den%", "%product%", "%100\\%%", "%two cat%", "%sale%", "%日本%"] {
        assert_eq!(found(pattern).await, "Red Mugs", "{pattern}");
    }
    assert_eq!(found("%plain%").await, "Plain");
    let anonymous =
        "has_function_privilege('anon', 'public.search_text(public.image_generation_templates)', 'execute')";
    assert_eq!(value(&project.owner, anonymous).await, "false");
    // Two fields are not one: a line's end is between them.
    for pattern in ["%hidden%", "%Mugs für%", "%sale日本%"] {
        assert_eq!(found(pattern).await, "", "{pattern}");
    }
}

/// No index on words could: under row level security its operator may not go first.
#[tokio::test]
async fn a_search_reads_one_persons_templates_by_an_index() {
    let project = Project::new().await;
    let user = project.user().await;
    let others = format!(
        "alter table {TEMPLATES} disable trigger user;
         insert into {TEMPLATES} (user_id, name, source_paths)
         select '{{user}}', 'a cup', array['x'] from generate_series(1, 1000);
         alter table {TEMPLATES} enable trigger user"
    );
    for _ in 0..5 {
        let other = project.user().await;
        project.owner.batch_execute(&others.replace("{user}", &other.to_string())).await.unwrap();
    }
    let client = project.signed_in(user).await;
    let one = format!("insert into {TEMPLATES} (name, source_paths) values ('a cup', array['{user}/sources/a.png'])");
    run(&client, &one).await.unwrap();
    project.owner.batch_execute(&format!("analyze {TEMPLATES}")).await.unwrap();
    let search = format!("explain select name from {TEMPLATES} template where template.search_text ilike '%cup%'");
    let plan: Vec<String> = client.query(&search, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Cond: (user_id =") && !plan.contains("Seq Scan"), "{plan}");
}
