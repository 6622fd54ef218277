//! The directory of a stack: used by one stack at a time, and the home of its keys.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::caller::Keys;
use crate::install::create_open_directory;

/// Locked while a stack runs. A directory that has it is a stack's.
const LOCK: &str = "stack.lock";

/// A directory that is ours for as long as this lives.
pub(super) struct Place {
    directory: PathBuf,
    _lock: File,
}

/// What `keys.json` holds.
#[derive(Deserialize, Serialize)]
struct Kept {
    publishable: String,
    secret: String,
    /// PKCS#8 in base64.
    signing: String,
}

impl Place {
    /// Takes `directory`, making it when it is missing and emptying it for `reset`.
    pub(super) async fn take(directory: &Path, reset: bool) -> anyhow::Result<Self> {
        let name = directory.display();
        let is_empty = fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty && !directory.join(LOCK).exists() {
            bail!("{name} isn't empty and no local stack's: choose another directory");
        }
        create_open_directory(directory)?;
        let path = directory.join(LOCK);
        let mut lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        if lock.try_lock().is_err() {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            bail!("a local stack already runs with the data in {name} (process {}): stop it first", pid.trim());
        }
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        if reset {
            empty(directory).await?;
        }
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// The keys that are kept here, made at the first time.
    pub(super) fn keys(&self, issuer: &str) -> anyhow::Result<Keys> {
        let path = self.directory.join("keys.json");
        let kept = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} can't be understood: start with --reset", path.display()))?,
            Err(_) => {
                let kept = Kept::generate();
                let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
                file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
                kept
            }
        };
        kept.open(issuer)
    }
}

impl Kept {
    fn generate() -> Self {
        let random = || {
            let text = Uuid::new_v4().simple().to_string();
            format!("{}_{}", &text[..22], &text[22..30])
        };
        Self {
            publishable: format!("sb_publishable_{}", random()),
            secret: format!("sb_secret_{}", random()),
            signing: STANDARD.encode(Keys::generate()),
        }
    }

    fn open(self, issuer: &str) -> anyhow::Result<Keys> {
        Keys::new(&STANDARD.decode(&self.signing)?, self.publishable, self.secret, issuer.to_owned())
    }
}

/// Keys that nothing keeps.
pub(super) fn new_keys(issuer: &str) -> anyhow::Result<Keys> {
    Kept::generate().open(issuer)
}

async fn empty(directory: &Path) -> anyhow::Result<()> {
    // The lock was free, so a server that is still there has lost its owner and is about to end.
    let running = directory.join("postgres/pgdata/postmaster.pid");
    for _ in 0..50 {
        if !running.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let removed = match path.file_name() {
            Some(name) if name == LOCK => Ok(()),
            _ if path.is_dir() && !path.is_symlink() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.with_context(|| format!("{} can't be removed", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_with_other_peoples_files_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
        let error = Place::take(directory.path(), true).await.err().expect("it is refused").to_string();
        assert!(error.contains("choose another directory"), "{error}");
        assert!(directory.path().join("thesis.txt").exists());
    }

    #[tokio::test]
    async fn a_directory_is_taken_by_one_stack_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = Place::take(directory.path(), false).await.unwrap();
        let error = Place::take(directory.path(), true).await.err().expect("it is refused").to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(first);
        Place::take(directory.path(), false).await.unwrap();
    }

    #[tokio::test]
    async fn keys_stay_until_a_reset() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::take(directory.path(), false).await.unwrap();
        let (first, second) = (place.keys("here").unwrap(), place.keys("here").unwrap());
        assert_eq!((first.secret.clone(), first.jwks()), (second.secret.clone(), second.jwks()));
        drop(place);
        let place = Place::take(directory.path(), true).await.unwrap();
        assert_ne!(first.secret, place.keys("here").unwrap().secret);
    }
}
