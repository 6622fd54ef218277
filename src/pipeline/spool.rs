//! The spool: a folder of this process alone in which sources wait for their calls. Nobody else of the machine may read it.
//!
//! It goes when the worker ends. What a worker that was killed has left goes at the next one's start, and nothing of one that still runs: each holds a lock
//! on its folder, which ends with the process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "carousel-spool-";

/// A folder that is ours for as long as this lives.
pub struct Spool {
    folder: TempDir,
    _lock: File,
}

impl Spool {
    /// Makes a folder in `place`, and removes those that are left of workers of this account which don't run any more.
    ///
    /// # Errors
    /// When nothing can be made in `place`.
    pub fn open(place: &Path) -> io::Result<Self> {
        let spool = loop {
            let folder = folder_in(place)?;
            let lock = File::open(folder.path())?;
            lock.lock()?;
            // Another worker may have taken it for a left one before it was locked.
            if folder.path().exists() {
                break Self { folder, _lock: lock };
            }
        };
        for entry in fs::read_dir(place)?.flatten() {
            let is_spool = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
            if is_spool && entry.path() != spool.path() {
                remove_if_left(&entry.path(), &spool);
            }
        }
        Ok(spool)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A new folder in it.
    pub(super) fn folder(&self) -> io::Result<TempDir> {
        tempfile::tempdir_in(self.path())
    }
}

/// A new folder that nobody else may enter.
fn folder_in(place: &Path) -> io::Result<TempDir> {
    let mut folder = tempfile::Builder::new();
    folder.prefix(PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        folder.permissions(fs::Permissions::from_mode(0o700));
    }
    folder.tempdir_in(place)
}

/// Removes another worker's folder when it has no worker any more.
fn remove_if_left(folder: &Path, ours: &Spool) {
    // A link leads elsewhere, and what is another account's is not for us to judge.
    if !fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && is_of_our_account(&found, ours)) {
        return;
    }
    let removed = File::open(folder).and_then(|lock| match lock.try_lock() {
        Ok(()) => fs::remove_dir_all(folder),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "a spool that was left behind can't be removed");
        }
        _ => {}
    }
}

#[cfg(unix)]
fn is_of_our_account(found: &fs::Metadata, ours: &Spool) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(ours.path()).is_ok_and(|ours| ours.uid() == found.uid())
}

#[cfg(not(unix))]
fn is_of_our_account(_: &fs::Metadata, _: &Spool) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(place: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nobody_else_may_enter_a_spool_and_it_goes_with_its_worker() {
        let place = tempfile::tempdir().unwrap();
        let spool = Spool::open(place.path()).unwrap();
        let _job = spool.folder().unwrap();
        assert_eq!(fs::metadata(spool.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(spool);
        assert_eq!(names(place.path()), Vec::<String>::new());
    }

    #[test]
    fn what_a_dead_worker_has_left_goes_and_nothing_else_does() {
        let place = tempfile::tempdir().unwrap();
        let (running, elsewhere) = (Spool::open(place.path()).unwrap(), tempfile::tempdir().unwrap());
        fs::write(running.path().join("photo"), "running").unwrap();
        fs::write(elsewhere.path().join("thesis.txt"), "years of work").unwrap();
        // A killed worker leaves its folder, and no lock.
        let left = place.path().join("carousel-spool-left");
        fs::create_dir_all(left.join("job")).unwrap();
        fs::write(left.join("job/photo"), "left").unwrap();
        symlink(elsewhere.path(), place.path().join("carousel-spool-link")).unwrap();
        fs::write(place.path().join("carousel-spool-file"), "").unwrap();
        fs::create_dir(place.path().join("another-program")).unwrap();

        let spool = Spool::open(place.path()).unwrap();
        assert!(!left.exists(), "it is left of a worker that does not run");
        assert!(running.path().join("photo").exists() && spool.path().exists());
        assert!(elsewhere.path().join("thesis.txt").exists());
        drop((running, spool));
        assert_eq!(names(place.path()), ["another-program", "carousel-spool-file", "carousel-spool-link"]);
    }
}
