//! Our migrations beside an app's own: whichever tool applies them, in whatever order, the other goes on, and the app's `db push` as before.

use std::path::Path;
use std::process::Command;

use carousel::migrations::{self, MIGRATIONS};
use carousel_local::postgres::ADMIN;
use tokio_postgres::Client;

use crate::catalog;
use crate::client::value;
use crate::project::{Project, fresh, shared};
use crate::supabase_cli::Repository;

const OLDER: (&str, &str) = ("20200101000000_theirs.sql", "create table public.theirs (id int8 primary key);");
const NEWER: (&str, &str) = ("20990101000000_theirs_later.sql", "alter table public.theirs add column note text;");
const NEXT: (&str, &str) = ("20990202000000_theirs_next.sql", "drop table public.theirs;");

/// A new project with its app, whose older migration is pushed.
struct App {
    repository: Repository,
    owner: Client,
    url: String,
    name: &'static str,
}

impl App {
    async fn new(name: &'static str) -> Self {
        let app = Self::empty(name).await;
        app.repository.add(OLDER.0, OLDER.1);
        assert_eq!(app.push().await, 1);
        app
    }

    async fn empty(name: &'static str) -> Self {
        let server = &shared().await.server;
        fresh(server, name, true).await;
        let owner = server.connect("postgres", name).await.unwrap();
        Self { repository: Repository::app().await, owner, url: server.url("postgres", name), name }
    }

    async fn push(&self) -> usize {
        self.repository.push(&self.url).await
    }

    /// `carousel init` in the app's folder; returns the files that it has written.
    fn init(&self, more: &[&str]) -> Vec<String> {
        let (code, said) = init(self.repository.path(), more);
        assert_eq!(code, 0, "{said}");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("not JSON: {said}"));
        said["written"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// Lets the app go on with migrations of its own, and compares the schema with that of a project that has nothing else.
    async fn ends_well(&mut self) {
        self.repository.add(NEWER.0, NEWER.1);
        assert_eq!(self.push().await, 1, "the app goes on");
        self.repository.add(NEXT.0, NEXT.1);
        assert_eq!(self.push().await, 1, "and on");
        self.agrees().await;
    }

    /// Whatever is asked says that nothing is left to do, and all is as in a project that has nothing else.
    async fn agrees(&mut self) {
        assert!(migrations::missing(&self.owner).await.unwrap().is_empty(), "nothing is missing");
        assert!(migrations::apply(&mut self.owner).await.unwrap().is_empty(), "and nothing is applied");
        assert_eq!(self.push().await, 0);
        let server = &shared().await.server;
        let straight = Project::new().await;
        catalog::assert_same(
            (self.name, &catalog::read(&server.connect(ADMIN, self.name).await.unwrap()).await),
            ("a project with nothing else", &catalog::read(&straight.admin().await).await),
        );
    }

    async fn versions(&self) -> String {
        let all =
            "select coalesce(string_agg(version, ' ' order by version), '') from supabase_migrations.schema_migrations";
        value(&self.owner, all).await
    }
}

pub fn init(folder: &Path, more: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carousel"));
    command.arg("init").arg(folder).arg("--json").args(more);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CAROUSEL_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    let output = command.output().expect("it can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test]
async fn an_app_has_them_among_its_own_and_later_ones_too() {
    let mut app = App::new("beside_init").await;
    let first = app.init(&[]);
    assert_eq!(first.len(), MIGRATIONS.len());
    // As an earlier version of carousel has left it.
    let later: Vec<_> = first[first.len() - 3..].to_vec();
    for name in &later {
        std::fs::remove_file(app.repository.migrations().join(name)).unwrap();
    }
    assert_eq!(app.push().await, MIGRATIONS.len() - 3);
    assert_eq!(migrations::missing(&app.owner).await.unwrap().len(), 3);
    let (code, said) = init(app.repository.path(), &["--check"]);
    assert!(code == 1 && said.contains("_carousel_record.sql"), "{said}");
    let names = |files: &[String]| -> Vec<String> {
        files.iter().map(|file| file.split_once('_').unwrap().1.to_owned()).collect()
    };
    let added = app.init(&[]);
    assert_eq!(names(&added), names(&later));
    assert_eq!(app.push().await, 3);
    assert_eq!(init(app.repository.path(), &["--check"]).0, 0);
    app.ends_well().await;
}

#[tokio::test]
async fn an_app_with_newer_migrations_gets_them_after_its_own() {
    let app = App::new("beside_newer").await;
    app.repository.add(NEWER.0, NEWER.1);
    assert_eq!(app.push().await, 1);
    app.init(&[]);
    let files = app.repository.files();
    assert_eq!(files[..2], [OLDER.0, NEWER.0]);
    assert_eq!(files[2], "20990101000001_carousel_guard.sql");
    assert_eq!(app.push().await, MIGRATIONS.len(), "in order: nothing is to be included behind the last one");
    assert!(migrations::missing(&app.owner).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_app_goes_on_as_before_when_carousel_migrates() {
    let mut app = App::new("beside_migrate").await;
    let before = app.versions().await;
    assert_eq!(migrations::apply(&mut app.owner).await.unwrap().len(), MIGRATIONS.len());
    assert_eq!(app.versions().await, before, "the CLI's history is the app's");
    app.ends_well().await;
}

#[tokio::test]
async fn whoever_migrated_first_has_them_in_the_app_later() {
    let mut app = App::new("beside_both").await;
    migrations::apply(&mut app.owner).await.unwrap();
    let before = catalog::read(&app.owner).await;
    assert_eq!(app.init(&[]).len(), MIGRATIONS.len());
    assert_eq!(app.push().await, MIGRATIONS.len(), "the CLI writes them down");
    catalog::assert_same(("migrated", &before), ("and pushed", &catalog::read(&app.owner).await));
    app.ends_well().await;
}

#[tokio::test]
async fn a_project_that_was_pushed_from_a_clone_has_them_in_the_app_later() {
    let mut app = App::empty("beside_clone").await;
    assert_eq!(Repository::whole().await.push(&app.url).await, MIGRATIONS.len());
    let refused = app.repository.try_push(&app.url, &[]).await;
    assert!(!refused.success && refused.stderr.contains("not found in local"), "{}", refused.stderr);
    assert_eq!(app.init(&["--database-url", &app.url]).len(), MIGRATIONS.len());
    assert_eq!(app.push().await, 0, "they keep their versions");
    app.repository.add("20980101000000_theirs.sql", OLDER.1);
    assert_eq!(app.push().await, 1);
    app.ends_well().await;
}

/// A push from a clone into a project that another tool has set up is refused in words, and what they say works.
#[tokio::test]
async fn a_clone_is_told_what_is_there_and_goes_on_if_it_says_so() {
    let server = &shared().await.server;
    fresh(server, "beside_told", true).await;
    let mut owner = server.connect("postgres", "beside_told").await.unwrap();
    let url = server.url("postgres", "beside_told");
    migrations::apply(&mut owner).await.unwrap();
    let before = catalog::read(&owner).await;
    let clone = Repository::whole().await;
    let refused = clone.try_push(&url, &[]).await;
    assert!(!refused.success && refused.stderr.contains("carousel is in this project already"), "{}", refused.stderr);
    catalog::assert_same(("before", &before), ("after", &catalog::read(&owner).await));
    let advice = refused.stderr.lines().find_map(|line| line.strip_prefix("supabase migration repair ")).unwrap();
    let remote = format!("--remote={url}");
    let mut arguments = vec!["migration", "repair", remote.as_str(), "--yes"];
    arguments.extend(advice.split_whitespace());
    let repaired = clone.supabase(&arguments).await;
    assert!(repaired.success, "{}\n{}", refused.stderr, repaired.stderr);
    assert_eq!(clone.push(&url).await, 0);
    assert!(migrations::apply(&mut owner).await.unwrap().is_empty());
}

/// The CLI advises to take what it does not know out of its history. Whoever does that loses nothing of ours.
#[tokio::test]
async fn the_clis_own_advice_does_no_harm() {
    let mut app = App::new("beside_advice").await;
    app.init(&[]);
    app.push().await;
    let before = catalog::read(&app.owner).await;
    let clone = Repository::whole().await;
    let refused = clone.try_push(&app.url, &[]).await;
    assert!(!refused.success && refused.stderr.contains("repair --status reverted"), "{}", refused.stderr);
    let versions = app.versions().await;
    let remote = format!("--remote={}", app.url);
    let mut arguments = vec!["migration", "repair", remote.as_str(), "--yes", "--status", "reverted"];
    arguments.extend(versions.split(' '));
    assert!(clone.supabase(&arguments).await.success);
    let refused = clone.try_push(&app.url, &[]).await;
    assert!(!refused.success && refused.stderr.contains("carousel is in this project already"), "{}", refused.stderr);
    assert!(migrations::missing(&app.owner).await.unwrap().is_empty());
    assert!(migrations::apply(&mut app.owner).await.unwrap().is_empty());
    // The app's own first one has to be told of again; ours do nothing.
    let older = OLDER.0.split('_').next().unwrap();
    let told = ["migration", "repair", remote.as_str(), "--yes", "--status", "applied", older];
    assert!(app.repository.supabase(&told).await.success);
    assert_eq!(app.push().await, MIGRATIONS.len());
    catalog::assert_same(("before", &before), ("after", &catalog::read(&app.owner).await));
    app.ends_well().await;
}

#[tokio::test]
async fn a_project_whose_storage_is_not_there_yet_is_told_so() {
    let server = &shared().await.server;
    fresh(server, "beside_storage", true).await;
    let admin = server.connect(ADMIN, "beside_storage").await.unwrap();
    admin.batch_execute("drop schema storage cascade").await.unwrap();
    let mut owner = server.connect("postgres", "beside_storage").await.unwrap();
    let all = "select string_agg(relname, ' ' order by oid) from pg_class";
    let before = value(&admin, all).await;
    let said = format!("{:#}", migrations::apply(&mut owner).await.unwrap_err());
    assert!(said.contains("Storage has not made its tables") && said.contains("dashboard"), "{said}");
    assert_eq!(value(&admin, all).await, before);
}

#[test]
fn init_says_what_is_wrong_with_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = init(folder.path(), &[]);
    assert!(code == 1 && said.contains("supabase init"), "{said}");
    std::fs::create_dir_all(folder.path().join("supabase/migrations")).unwrap();
    let theirs = folder.path().join("supabase/migrations/99999999999999_theirs.sql");
    std::fs::write(&theirs, "select 1;").unwrap();
    let (code, said) = init(folder.path(), &[]);
    assert!(code == 1 && said.contains("99999999999999"), "{said}");
    std::fs::remove_file(&theirs).unwrap();
    assert_eq!(init(folder.path(), &[]).0, 0);
    let mut files: Vec<_> = std::fs::read_dir(folder.path().join("supabase/migrations")).unwrap().collect();
    let changed = files.pop().unwrap().unwrap().path();
    std::fs::write(&changed, "-- mine").unwrap();
    let (code, said) = init(folder.path(), &["--check"]);
    assert!(code == 1 && said.contains(changed.file_name().unwrap().to_str().unwrap()), "{said}");
    assert_eq!(init(folder.path(), &[]).0, 0);
    assert_eq!(std::fs::read_to_string(&changed).unwrap(), "-- mine", "nothing of anybody's is overwritten");
}
