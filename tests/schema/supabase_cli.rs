//! The real Supabase CLI, run as a person would run it in the repository.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::project::{Shared, shared};

/// A folder with `supabase/` in it, of its own, because the CLI writes beside what it reads.
pub struct Repository {
    folder: TempDir,
    shared: &'static Shared,
}

/// What a command said, and whether it ended well.
pub struct Said {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Repository {
    /// With the first `count` migrations.
    pub async fn with_migrations(count: usize) -> Self {
        Self::of(carousel::migrations::MIGRATIONS.iter().take(count).collect()).await
    }

    /// With these migrations.
    pub async fn of(migrations: Vec<&(&str, &str, &str)>) -> Self {
        let folder = tempfile::tempdir().expect("a directory can be made");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("supabase");
        let target = folder.path().join("supabase");
        std::fs::create_dir_all(target.join("migrations")).expect("a directory can be made");
        std::fs::copy(source.join("config.toml"), target.join("config.toml")).expect("config.toml can be copied");
        for (version, name, text) in migrations {
            std::fs::write(target.join(format!("migrations/{version}_{name}.sql")), text)
                .expect("a file can be written");
        }
        Self { folder, shared: shared().await }
    }

    /// An app's, which has no migrations yet.
    pub async fn app() -> Self {
        Self::with_migrations(0).await
    }

    /// Adds one of the app's own migrations.
    pub fn add(&self, name: &str, text: &str) {
        std::fs::write(self.migrations().join(name), text).expect("a file can be written");
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn migrations(&self) -> PathBuf {
        self.folder.path().join("supabase/migrations")
    }

    /// The names of the files in its folder of migrations, in order.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.migrations()).expect("it can be listed");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("it is text"))
            .collect();
        names.sort();
        names
    }

    /// With all migrations.
    pub async fn whole() -> Self {
        Self::with_migrations(usize::MAX).await
    }

    /// Runs `supabase` with these arguments.
    pub async fn supabase(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(&self.shared.runtime.supabase);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        command.envs([("SUPABASE_TELEMETRY_DISABLED", "1"), ("DO_NOT_TRACK", "1"), ("CI", "1"), ("NO_COLOR", "1")]);
        // Neither this person's login nor their settings are to matter.
        command.env("HOME", self.folder.path()).env_remove("SUPABASE_ACCESS_TOKEN");
        let output = command.output().await.expect("the Supabase CLI can be run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it speaks UTF-8");
        Said { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// `supabase db push` to this database; returns how many migrations it applied.
    pub async fn push(&self, url: &str) -> usize {
        let said = self.try_push(url, &["--output-format", "json"]).await;
        assert!(said.success, "{}", said.stderr);
        let answer: serde_json::Value =
            serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("not JSON: {}", said.stdout));
        let applied = answer["migrations"].as_array().unwrap_or_else(|| panic!("no migrations in {answer}")).len();
        assert_eq!(answer["upToDate"], applied == 0, "{answer}");
        applied
    }

    /// `supabase db push` to this database with `more` options, which may fail.
    pub async fn try_push(&self, url: &str, more: &[&str]) -> Said {
        let remote = format!("--remote={url}");
        let options = ["db", "push", &remote, "--yes"].into_iter().chain(more.iter().copied());
        self.supabase(&options.collect::<Vec<_>>()).await
    }
}
