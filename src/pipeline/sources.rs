//! A job's sources, spooled to disk once: the bytes as the owner uploaded them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use tempfile::TempDir;

use crate::failure::{Failure, Verdict, judge};
use crate::job::Job;
use crate::provider::Source;
use crate::{image, storage::Storage};

/// The provider takes files up to this size, and so does the bucket.
const MAX_BYTES: u64 = 50 << 20;
/// Sources that are fetched at once for one job.
const AT_ONCE: usize = 4;
/// Nothing is paid yet, so Storage may be away for some minutes.
const TRIES: u32 = 10;

/// The spooled sources of one job. They go when this is dropped.
pub struct Sources {
    /// The files in the order in which the job names them.
    pub files: Arc<[Source]>,
    _folder: TempDir,
}

/// Fetches what the job names into a new folder under `spool`, waiting while Storage is away.
pub async fn fetch(storage: &Storage, job: &Job, spool: &Path) -> Result<Sources, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("carousel-sources-")
        .tempdir_in(spool)
        .map_err(|error| Failure::Internal(format!("no folder for the sources in {}: {error}", spool.display())))?;
    let fetches: Vec<_> = job
        .source_paths
        .iter()
        .enumerate()
        .map(|(index, path)| fetch_one(storage, job, path, folder.path().join(format!("source-{}", index + 1))))
        .collect();
    let files: Vec<Source> = stream::iter(fetches).buffered(AT_ONCE).try_collect().await?;
    Ok(Sources { files: files.into(), _folder: folder })
}

async fn fetch_one(storage: &Storage, job: &Job, path: &str, into: PathBuf) -> Result<Source, Failure> {
    // The database has refused foreign paths already; the key in our hands could read them all, so they are refused here as well.
    let own =
        path.strip_prefix(&format!("{}/", job.user_id)).is_some_and(|rest| !rest.split('/').any(|part| part == ".."));
    if !own {
        return Err(Failure::Unfit {
            code: "source_path_foreign",
            message: format!("The source path {path} is not in the owner's folder."),
        });
    }
    let mut failed = 0;
    let (downloaded, file) = loop {
        let downloaded = storage.download(path, &into, MAX_BYTES).await;
        match downloaded.and_then(|downloaded| Ok((downloaded, File::open(&into)?))) {
            Ok(fetched) => break fetched,
            Err(error) => {
                failed += 1;
                let failure = Failure::Fetch { path: path.to_owned(), error };
                match judge(&failure, failed, 0, TRIES) {
                    Verdict::Again(pause) => tokio::time::sleep(pause).await,
                    _ => return Err(failure),
                }
            }
        }
    };
    let sniffed = tokio::task::spawn_blocking(move || image::sniff(&mut BufReader::new(file)));
    let header = sniffed
        .await
        .map_err(|error| Failure::Internal(error.to_string()))?
        .map_err(|error| Failure::Source { path: path.to_owned(), error })?;
    Ok(Source { path: into, bytes: downloaded.bytes, format: header.format })
}
