//! `carousel init`: our migrations among an app's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use time::OffsetDateTime;

use super::migrate::AdoptionArgs;
use crate::config;
use crate::migrations::{self, File, State};

/// Put carousel's migrations into an app that has migrations of its own
///
/// Writes a file for each into DIR/supabase/migrations, under a version that comes after the app's, so that its own `supabase db push` applies
/// them. Run it again after an update of carousel: what is there stays, and what is new is added. With DATABASE_URL it looks at the versions of
/// that database as well.
#[derive(Args, Debug)]
pub struct Init {
    /// The app's folder, with supabase/ in it
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,

    #[command(flatten)]
    database: config::Database,

    /// For an app that had tables of carousel's names before: one file that keeps them under other names and carries their rows over
    #[arg(long)]
    adopt: bool,

    #[command(flatten)]
    adoption: AdoptionArgs,

    /// Only say what is missing or was changed; end with 1 if something is
    #[arg(long)]
    check: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let supabase = self.folder.join("supabase");
        ensure!(
            supabase.is_dir(),
            "there is no folder {}: name the app's folder (`carousel init DIR`), or make it one with `supabase init`",
            supabase.display()
        );
        let migrations = supabase.join("migrations");
        let there = read(&migrations)?;
        let (remote, before) = match &self.database.database_url {
            Some(_) => {
                let client = self.database.settings()?.connect().await?;
                (migrations::remote(&client).await?, migrations::before(&client).await?)
            }
            None => (Vec::new(), None),
        };
        let adoption = self.adopt.then(|| self.adoption.adoption());
        let files = migrations::plan(&there, &remote, adoption.as_ref(), OffsetDateTime::now_utc())?;
        let begins = files.first().is_some_and(|file| file.state == State::Missing);
        if begins && let Some(before) = before.filter(|before| !self.adopt || !before.odd.is_empty()) {
            bail!("nothing was written: {before}");
        }
        if begins
            && !self.adopt
            && let Some((name, _)) = there.iter().find(|(_, text)| migrations::makes_our_tables(text))
        {
            bail!(
                "nothing was written: {name} makes a table of carousel's name. With `--adopt` the tables from before are kept under other names, \
                 and their rows carried over"
            );
        }
        if !self.check {
            std::fs::create_dir_all(&migrations).with_context(|| format!("can't make {}", migrations.display()))?;
            for file in files.iter().filter(|file| file.state == State::Missing) {
                write(&migrations.join(&file.name), &file.text)?;
            }
        }
        self.tell(&migrations, &files)
    }

    fn tell(&self, folder: &Path, files: &[File]) -> anyhow::Result<()> {
        let of = |state: State| -> Vec<&str> {
            files.iter().filter(|file| file.state == state).map(|file| file.name.as_str()).collect()
        };
        let (missing, there, changed) = (of(State::Missing), of(State::There), of(State::Changed));
        let done = if self.check { "missing" } else { "written" };
        if self.json {
            println!("{}", serde_json::json!({ done: missing, "there": there, "changed": changed }));
        } else {
            for name in &missing {
                println!("{done} {name}");
            }
            for name in &changed {
                println!("changed by hand, and left so: {name}");
            }
            match (missing.len(), self.check) {
                (0, _) => println!("nothing {done}: all {} are in {}", files.len(), folder.display()),
                (_, true) => {}
                (count, false) => {
                    println!("{count} files in {}; apply them with: supabase db push --remote", folder.display())
                }
            }
        }
        if self.check && !(missing.is_empty() && changed.is_empty()) {
            bail!("the app's migrations are not carousel's: run `carousel init`, and see what was changed by hand");
        }
        Ok(())
    }
}

/// The app's files, by name, with their texts.
fn read(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unreadable = || format!("can't read {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let bytes = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
            files.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a file that is not there: nobody's is overwritten.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = std::fs::File::create_new(path).with_context(|| format!("can't write {}", path.display()))?;
    std::io::Write::write_all(&mut file, text.as_bytes()).with_context(|| format!("can't write {}", path.display()))
}
