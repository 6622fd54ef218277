//! `carousel doctor`: what is broken is found, named, and mended by the line that it gives.

use serde_json::Value;
use tokio::process::Command;

use crate::deployment::Deployment;
use crate::{carousel, ended, project, tells_a_secret, worker};

/// The doctor with everything that a worker of this deployment has, and the key for clients.
pub fn doctor(deployment: &Deployment) -> Command {
    let mut command = carousel(&["doctor", "--json"]);
    for (name, value) in worker(deployment).as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("SUPABASE_PUBLISHABLE_KEY", deployment.stack.publishable_key());
    command
}

/// Exit code and findings.
pub async fn examined(command: Command) -> (i32, Vec<Value>) {
    let (code, said, error) = ended(command).await;
    assert!(!tells_a_secret(&said), "{said}");
    let mut report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("one JSON document: {said}{error}"));
    assert_eq!(report["healthy"], code == 0, "{report}");
    (code, serde_json::from_value(report["checks"].take()).unwrap())
}

/// The findings with this verdict, as `check`, detail and mend.
pub fn of<'a>(findings: &'a [Value], verdict: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let matching = findings.iter().filter(|finding| finding["verdict"] == verdict);
    matching.map(|finding| (text(&finding["check"]), text(&finding["detail"]), text(&finding["mend"]))).collect()
}

#[tokio::test]
async fn a_sound_project_is_found_healthy_by_the_workers_role_and_by_its_owner() {
    let deployment = Deployment::new().await;
    let mut as_owner = doctor(&deployment);
    as_owner.env("DATABASE_URL", deployment.stack.database_url("postgres"));
    for command in [doctor(&deployment), as_owner] {
        let (code, findings) = examined(command).await;
        assert_eq!(of(&findings, "passed").len(), findings.len(), "{findings:#?}");
        assert_eq!(code, 0);
        let names: Vec<&str> = findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
        for check in
            ["schema", "row_level_security", "grants", "listen", "clock", "queue", "bucket", "realtime", "provider"]
        {
            assert!(names.contains(&check), "{names:?}");
        }
    }
    let mut for_people = doctor(&deployment);
    for_people.env("NO_COLOR", "1");
    let (_, said, _) = ended(plain(for_people)).await;
    assert!(said.contains("ok       grants") && said.contains("0 failed"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours in a file: {said:?}");
}

/// Its columns, its triggers and what it may write are expected there, and nowhere else.
#[tokio::test]
async fn a_project_where_an_older_frontend_goes_on_is_sound() {
    let deployment = Deployment::new().await;
    deployment.project.let_frontend_go_on("http://localhost/").await;
    let mut as_owner = doctor(&deployment);
    as_owner.env("DATABASE_URL", deployment.stack.database_url("postgres"));
    for command in [doctor(&deployment), as_owner] {
        let (_, findings) = examined(command).await;
        let bad: Vec<_> = findings.iter().filter(|finding| finding["verdict"] != "passed").collect();
        assert!(bad.iter().all(|finding| finding["check"] == "bucket"), "it is public, and nothing else: {bad:#?}");
    }
    let admin = deployment.project.admin().await;
    admin.batch_execute("drop trigger before_carousel on public.image_generation_templates").await.unwrap();
    let (code, findings) = examined(doctor(&deployment)).await;
    assert_eq!(code, 1);
    let told = of(&findings, "failed");
    assert!(told.iter().any(|(check, what, _)| *check == "schema" && what.contains("before_carousel")), "{told:#?}");
}

/// The same without `--json`.
fn plain(command: Command) -> Command {
    let mut plain = carousel(&["doctor"]);
    for (name, value) in command.as_std().get_envs() {
        match value {
            Some(value) => plain.env(name, value),
            None => plain.env_remove(name),
        };
    }
    plain
}

/// A worker with thousands of calls needs as many connections; a shell allows 1024 files.
#[cfg(unix)]
#[tokio::test]
async fn the_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    for (limit, calls, mended) in [("-S -n 100", "300", true), ("-n 300", "300", false)] {
        let mut command = Command::new("sh");
        let line = format!("ulimit {limit} && exec \"$0\" doctor --json");
        command.arg("-c").arg(line).arg(env!("CARGO_BIN_EXE_carousel"));
        for (name, _) in carousel(&[]).as_std().get_envs() {
            command.env_remove(name);
        }
        command.env("CAROUSEL_CALLS", calls);
        let (_, findings) = examined(command).await;
        let failed = of(&findings, "failed");
        let found = failed.iter().find(|(check, ..)| *check == "open_files");
        assert_eq!(found.is_none(), mended, "{findings:#?}");
        if let Some((_, detail, mend)) = found {
            assert!(detail.contains("300 files") && detail.contains("CAROUSEL_CALLS=300"), "{detail}");
            assert!(mend.starts_with("ulimit -n 4") && mend.contains("LimitNOFILE"), "{mend}");
        }
    }
}

/// Whatever was broken is found under its name, and the SQL that the doctor names mends it.
#[tokio::test]
async fn what_is_broken_in_the_database_is_mended_by_the_line_that_is_named() {
    let deployment = Deployment::new().await;
    let owner = &deployment.project.owner;
    // What to break, the check that finds it, and a word of what it says.
    let broken = [
        (
            "revoke delete on carousel_private.leases from carousel_worker",
            "grants",
            "may not delete in carousel_private.leases",
        ),
        ("revoke insert (prompt) on public.image_generation_jobs from authenticated", "grants", "insert prompt"),
        ("revoke execute on function carousel_private.pause_left() from carousel_worker", "grants", "pause_left"),
        ("grant update (status) on public.image_generation_jobs to authenticated", "grants", "may update status"),
        ("grant all on public.generated_carousel_images to anon", "grants", "the role anon may"),
        ("grant usage on schema carousel_private to authenticated", "grants", "may enter carousel_private"),
        (
            "alter table public.image_generation_jobs disable row level security",
            "row_level_security",
            "everybody's rows",
        ),
        (
            "drop policy \"Owners see their jobs\" on public.image_generation_jobs",
            "row_level_security",
            "Owners see their jobs",
        ),
        ("alter table public.image_generation_jobs disable trigger announce_jobs", "schema", "switched off"),
        ("drop trigger change_job on public.image_generation_jobs", "schema", "the trigger change_job"),
        ("drop index carousel_private.queue_by_turn", "schema", "queue_by_turn"),
        ("drop view public.generated_carousels", "schema", "generated_carousels"),
        (
            "alter publication supabase_realtime drop table public.image_generation_jobs",
            "publication",
            "see no progress",
        ),
    ];
    for (breakage, check, word) in broken {
        owner.batch_execute(breakage).await.unwrap_or_else(|error| panic!("{breakage}: {error}"));
        let (code, findings) = examined(doctor(&deployment)).await;
        let failed = of(&findings, "failed");
        let (found, detail, _) = failed.first().unwrap_or_else(|| panic!("{breakage} is not found: {findings:#?}"));
        assert_eq!((code, *found), (1, check), "{breakage}: {failed:?}");
        assert!(failed.iter().any(|(_, detail, _)| detail.contains(word)), "{breakage}: {detail}");
        for (_, _, mend) in &failed {
            owner.batch_execute(mend).await.unwrap_or_else(|error| panic!("{breakage}: {mend}: {error}"));
        }
        if breakage.contains("drop view") {
            // What was granted on it went with it.
            let (_, findings) = examined(doctor(&deployment)).await;
            for (_, _, mend) in of(&findings, "failed") {
                owner.batch_execute(mend).await.unwrap();
            }
        }
        let (code, findings) = examined(doctor(&deployment)).await;
        assert_eq!(code, 0, "{breakage} is not mended: {:#?}", of(&findings, "failed"));
    }
}

#[tokio::test]
async fn a_bucket_that_is_missing_open_or_narrow_is_told() {
    let deployment = Deployment::new().await;
    let admin = deployment.project.admin().await;
    for (breakage, verdict, word) in [
        ("update storage.buckets set public = true", "failed", "set public = false"),
        ("update storage.buckets set allowed_mime_types = '{image/png}'", "failed", "allowed_mime_types"),
        (
            "update storage.buckets set allowed_mime_types = '{image/*}', file_size_limit = 1000000",
            "warning",
            "file_size_limit",
        ),
        (
            "begin; set local storage.allow_delete_query = 'true'; delete from storage.buckets; commit",
            "failed",
            "carousel migrate",
        ),
    ] {
        admin.batch_execute(breakage).await.unwrap_or_else(|error| panic!("{breakage}: {error}"));
        let (_, findings) = examined(doctor(&deployment)).await;
        let told = of(&findings, verdict);
        let found = told.iter().find(|(check, _, mend)| *check == "bucket" && mend.contains(word));
        let (_, _, mend) = found.unwrap_or_else(|| panic!("{breakage}: {findings:#?}"));
        if mend.starts_with("update ") {
            admin.batch_execute(mend).await.unwrap_or_else(|error| panic!("{mend}: {error}"));
            let (_, findings) = examined(doctor(&deployment)).await;
            assert!(of(&findings, "passed").iter().any(|(check, ..)| *check == "bucket"), "{mend}: {findings:#?}");
        }
    }
}

/// It is a warning: without the channels pages fall back to what costs more.
#[tokio::test]
async fn private_channels_that_are_not_whole_are_made_again_by_the_line_that_is_named() {
    let deployment = Deployment::new().await;
    let owner = &deployment.project.owner;
    for breakage in [
        "drop policy \"carousel: people hear their own channel\" on realtime.messages",
        "drop policy \"carousel: the database alone sends\" on realtime.messages",
        "drop trigger broadcast_added on public.image_generation_jobs",
        "alter table public.generated_carousel_images disable trigger broadcast_changed",
    ] {
        owner.batch_execute(breakage).await.unwrap();
        let (code, findings) = examined(doctor(&deployment)).await;
        let warned = of(&findings, "warning");
        let &[(check, detail, mend)] = warned.as_slice() else { panic!("{breakage}: {findings:#?}") };
        assert_eq!((code, check), (0, "broadcasts"), "{breakage}: {detail}");
        owner.batch_execute(mend).await.unwrap();
        let (_, findings) = examined(doctor(&deployment)).await;
        assert_eq!(of(&findings, "passed").len(), findings.len(), "{breakage}: {findings:#?}");
    }
    // A project without Realtime's schema, as far as the channels go.
    deployment.project.admin().await.batch_execute("alter function realtime.send rename to later").await.unwrap();
    let (_, findings) = examined(doctor(&deployment)).await;
    let warned = of(&findings, "warning");
    assert!(
        warned.iter().any(|(check, _, mend)| *check == "broadcasts" && mend.contains("set_up_broadcasts()")),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn what_depends_on_what_is_broken_is_skipped_and_says_so() {
    let deployment = Deployment::new().await;
    let mut transaction_pooler = doctor(&deployment);
    transaction_pooler.env("DATABASE_URL", "postgresql://carousel_worker:p@127.0.0.1:6543/postgres");
    let (code, findings) = examined(transaction_pooler).await;
    let failed = of(&findings, "failed");
    assert!(
        code == 1 && failed.len() == 1 && failed[0].1.contains("6543") && failed[0].2.contains("5432"),
        "{failed:?}"
    );
    let skipped = of(&findings, "skipped");
    assert!(
        skipped.iter().any(|(check, detail, _)| *check == "listen" && detail.contains("database_url")),
        "{skipped:?}"
    );
    assert!(
        of(&findings, "passed").iter().any(|(check, ..)| *check == "bucket"),
        "the rest is looked at: {findings:#?}"
    );

    let mut wrong_password = doctor(&deployment);
    wrong_password.env("DATABASE_URL", deployment.project.worker_url().replace(":worker@", ":wrong@"));
    let (_, findings) = examined(wrong_password).await;
    assert!(of(&findings, "failed")[0].2.contains("alter role carousel_worker login password"), "{findings:#?}");

    for (variable, setting, hand) in
        [("CAROUSEL_PROVIDER_CA", "provider_ca", "provider"), ("CAROUSEL_DATABASE_CA", "database_ca", "connection")]
    {
        let mut untrusted = doctor(&deployment);
        untrusted.env(variable, "/nowhere/own.crt");
        let (code, findings) = examined(untrusted).await;
        let failed = of(&findings, "failed");
        assert!(code == 1 && failed.len() == 1 && failed[0].0 == setting, "{findings:#?}");
        assert!(failed[0].1.contains("/nowhere/own.crt") && failed[0].2.contains(variable), "{failed:?}");
        let skipped = of(&findings, "skipped");
        assert!(skipped.iter().any(|(check, detail, _)| *check == hand && detail.contains(setting)), "{skipped:?}");
    }

    let (code, findings) = examined(carousel(&["doctor", "--json"])).await;
    assert_eq!(code, 1);
    let failed: Vec<&str> = of(&findings, "failed").iter().map(|(check, ..)| *check).collect();
    assert_eq!(failed, ["database_url", "supabase_url", "secret_key", "provider_key"]);
    assert!(of(&findings, "failed").iter().all(|(_, _, mend)| mend.starts_with("export ")), "{findings:#?}");
    assert!(of(&findings, "skipped").len() > 8, "{findings:#?}");
}

#[tokio::test]
async fn a_wrong_key_is_named() {
    let deployment = Deployment::new().await;
    for (variable, check) in [
        ("SUPABASE_SECRET_KEY", "bucket"),
        ("SUPABASE_SECRET_KEY", "secret_key_rows"),
        ("SUPABASE_PUBLISHABLE_KEY", "publishable_key_rows"),
        ("OPENAI_API_KEY", "provider"),
    ] {
        let mut command = doctor(&deployment);
        command.env(variable, "wrong");
        let (code, findings) = examined(command).await;
        let failed = of(&findings, "failed");
        let found = failed.iter().find(|(name, ..)| *name == check);
        let (_, detail, mend) = found.unwrap_or_else(|| panic!("{variable} {check}: {findings:#?}"));
        assert!(code == 1 && (detail.contains(variable) || mend.contains(variable)), "{detail}; {mend}");
    }
    // Without its /v1 the address says nothing of a key, right or wrong.
    for key in [None, Some("wrong")] {
        let mut command = doctor(&deployment);
        let base = command.as_std().get_envs().find(|(name, _)| *name == "OPENAI_BASE_URL").and_then(|(_, base)| base);
        let base = base.and_then(|base| base.to_str()).unwrap().trim_end_matches("/v1").to_owned();
        command.env("OPENAI_BASE_URL", base);
        key.map(|key| command.env("OPENAI_API_KEY", key));
        let (code, findings) = examined(command).await;
        let failed = of(&findings, "failed");
        assert!(code == 1 && failed.len() == 1 && failed[0].0 == "provider", "{failed:?}");
        assert!(failed[0].1.contains("/v1") && failed[0].2.contains("OPENAI_BASE_URL"), "{failed:?}");
    }
    let mut with_password = doctor(&deployment);
    with_password
        .env("SUPABASE_URL", "http://user:hidden@127.0.0.1:1")
        .env("OPENAI_BASE_URL", "http://user:hidden@127.0.0.1:1/v1?k=hidden");
    let (_, findings) = examined(with_password).await;
    assert!(!Value::from(findings.clone()).to_string().contains("hidden"), "{findings:#?}");
    let mut swapped = doctor(&deployment);
    swapped.env("SUPABASE_PUBLISHABLE_KEY", deployment.stack.secret_key());
    let (_, findings) = examined(swapped).await;
    assert!(of(&findings, "failed").iter().any(|(check, ..)| *check == "publishable_key"), "{findings:#?}");
}

#[tokio::test]
async fn a_role_without_the_workers_rights_and_a_database_without_the_schema_are_told_apart() {
    let deployment = Deployment::new().await;
    let admin = deployment.project.admin().await;
    let role = format!("other_{}", deployment.project.database);
    let make = format!("create role {role} login password 'worker'; grant usage on schema carousel_private to {role}");
    admin.batch_execute(&make).await.unwrap();
    let mut command = doctor(&deployment);
    command.env("DATABASE_URL", deployment.project.worker_url().replace("carousel_worker:", &format!("{role}:")));
    let (_, findings) = examined(command).await;
    let failed = of(&findings, "failed");
    assert!(
        failed.iter().any(|(check, _, mend)| *check == "role" && *mend == format!("grant carousel_worker to {role};")),
        "{failed:#?}"
    );

    let empty = format!("{}_bare", deployment.project.database);
    project::fresh(&deployment.project.shared.server, &empty, true).await;
    let mut command = doctor(&deployment);
    command.env("DATABASE_URL", deployment.project.shared.server.url("postgres", &empty));
    let (_, findings) = examined(command).await;
    let failed = of(&findings, "failed");
    assert!(
        failed.iter().any(|(check, _, mend)| *check == "schema" && mend.contains("carousel migrate")),
        "{failed:#?}"
    );
    assert!(of(&findings, "skipped").iter().any(|(check, ..)| *check == "grants"), "{findings:#?}");
}

#[tokio::test]
async fn a_queue_that_nobody_works_on_and_a_pause_are_warnings() {
    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let source = person.photo().await;
    person.submit(&serde_json::json!({ "prompt": "waits", "source_paths": [source] })).await;
    let pause = "insert into carousel_private.provider_budget (provider, paused_until, paused_reason) \
        values ('openai', now() + interval '1 hour', e'no money\\x1b[2J left')";
    deployment.project.owner.batch_execute(pause).await.unwrap();
    let (code, findings) = examined(doctor(&deployment)).await;
    let told = of(&findings, "warning");
    assert_eq!(code, 0, "a warning is no failure");
    assert!(
        told.iter().any(|(check, detail, mend)| {
            *check == "queue"
                && detail.contains("1 job waits")
                && detail.contains("no worker is alive")
                && *mend == "carousel worker"
        }),
        "{told:?}"
    );
    let paused = told.iter().find(|(check, ..)| *check == "provider_pause").unwrap();
    assert!(paused.1.contains("no money") && paused.2.contains("set paused_until = null"), "{paused:?}");
    let (_, said, _) = ended(plain(doctor(&deployment))).await;
    assert!(said.contains("no money\u{241b}[2J left") && !said.contains('\u{1b}'), "{said:?}");
    let mut strict = doctor(&deployment);
    strict.arg("--strict");
    assert_eq!(examined(strict).await.0, 1);
}

#[tokio::test]
async fn a_database_and_an_api_of_two_projects_are_told_and_no_worker_starts() {
    let (one, two) = (Deployment::new().await, Deployment::new().await);
    let mixed = |mut command: Command| {
        command.env("SUPABASE_URL", two.stack.url()).env("SUPABASE_SECRET_KEY", two.stack.secret_key());
        command
    };
    let (code, findings) = examined(mixed(doctor(&one))).await;
    let failed = of(&findings, "failed");
    let (_, detail, mend) = failed.iter().find(|(check, ..)| *check == "one_project").expect("it is told");
    assert_eq!(code, 1);
    let port = one.project.shared.server.port().to_string();
    assert!(detail.contains(&port) && detail.contains(two.stack.url()), "both are named: {detail}");
    assert!(mend.contains("same project"), "{mend}");
    let (code, _, error) = ended(mixed(worker(&one))).await;
    assert!(code == 1 && error.contains("two projects"), "{error}");
}

/// An API that does not answer is no other project.
#[tokio::test]
async fn an_api_that_is_away_is_told_apart() {
    let deployment = Deployment::new().await;
    let mut away = doctor(&deployment);
    away.env("SUPABASE_URL", "http://127.0.0.1:1");
    let (_, findings) = examined(away).await;
    let warned = of(&findings, "warning");
    assert!(
        warned.iter().any(|(check, detail, _)| *check == "one_project" && detail.contains("not known")),
        "{warned:?}"
    );
}

#[tokio::test]
async fn a_public_bucket_that_the_app_shares_is_warned_of_and_used() {
    let deployment = Deployment::new().await;
    let shared =
        "update storage.buckets set public = true; insert into carousel_private.shared_bucket (public) values (true)";
    deployment.project.owner.batch_execute(shared).await.unwrap();
    let (code, findings) = examined(doctor(&deployment)).await;
    assert_eq!(code, 0, "{findings:#?}");
    let warned = of(&findings, "warning");
    assert!(
        warned.iter().any(|(check, detail, _)| *check == "bucket" && detail.contains("everyone who knows a path")),
        "{warned:?}"
    );
}
