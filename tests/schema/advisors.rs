//! `supabase db advisors`, the dashboard's own checks, have nothing to say.

use crate::project::Project;
use crate::supabase_cli::Repository;

/// Names of the findings, and whether the command found them grave enough to fail.
async fn advise(project: &Project) -> (Vec<String>, bool) {
    let url = project.shared.server.url("postgres", &project.database);
    let remote = format!("--remote={url}");
    let arguments = ["db", "advisors", "--level", "info", "--fail-on", "warn", "--output-format", "json", &remote];
    let said = Repository::whole().await.supabase(&arguments).await;
    let answer: serde_json::Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("not JSON: {}{}", said.stdout, said.stderr));
    let findings = answer["results"].as_array().unwrap_or_else(|| panic!("no results in {answer}"));
    let describe = |finding: &serde_json::Value| {
        let text = |key: &str| finding[key].as_str().unwrap_or_else(|| panic!("no {key} in {finding}")).to_owned();
        format!("{}: {}", text("name"), text("detail"))
    };
    (findings.iter().map(describe).collect(), said.success)
}

#[tokio::test]
async fn the_advisors_find_nothing_but_unused_indexes() {
    nothing_but_unused_indexes(&Project::new().await).await;
}

#[tokio::test]
async fn the_advisors_find_no_more_where_an_older_frontend_goes_on() {
    let project = Project::new().await;
    project.let_frontend_go_on("https://p/").await;
    nothing_but_unused_indexes(&project).await;
}

async fn nothing_but_unused_indexes(project: &Project) {
    let (findings, passed) = advise(project).await;
    // In a database without rows no index was ever used: these show that the advisors looked.
    let (unused, others): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.starts_with("unused_index: "));
    assert!(others.is_empty(), "{others:#?}");
    assert!(unused.iter().any(|finding| finding.contains("image_generation_jobs")), "{unused:#?}");
    assert!(passed);
}

#[tokio::test]
async fn the_advisors_would_find_a_table_without_policies() {
    let project = Project::new().await;
    let mistake = "create table public.mistake (id integer primary key, owner uuid references auth.users (id));
        grant select on public.mistake to anon";
    project.owner.batch_execute(mistake).await.unwrap();
    let (findings, passed) = advise(&project).await;
    for name in ["rls_disabled_in_public", "unindexed_foreign_keys"] {
        assert!(findings.iter().any(|finding| finding.starts_with(name)), "no {name} in {findings:#?}");
    }
    assert!(!passed);
}
