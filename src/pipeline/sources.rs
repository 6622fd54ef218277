//! A job's sources, spooled to disk once: the bytes as the owner uploaded them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use tempfile::TempDir;

use super::retry::retry;
use super::spool::Spool;
use crate::failure::{Failure, Tried};
use crate::image;
use crate::job::{Job, MAX_SOURCE_BYTES, Size};
use crate::provider::Source;
use crate::supabase::storage::Storage;

/// Sources that are fetched at once for one job.
const AT_ONCE: usize = 4;

/// The spooled sources of one job, by slide. They go when this is dropped.
pub struct Sources {
    slides: BTreeMap<i32, Sent>,
    _folder: TempDir,
}

/// What goes along with the calls for one slide.
pub struct Sent {
    /// The files, in the order in which the slide names them.
    pub files: Arc<[Source]>,
    /// The size of the first one, as it is shown: what `auto` follows.
    pub photo: Size,
}

/// A file in the spool.
struct Spooled {
    source: Source,
    shown: Size,
}

impl Sources {
    /// What goes along with a slide that was fetched for.
    pub fn of(&self, slide: i32) -> Result<&Sent, Failure> {
        self.slides.get(&slide).ok_or_else(|| Failure::Internal(format!("slide {slide} has no sources")))
    }
}

/// Fetches what these slides of the job see into a new folder of the spool, waiting while Storage is away.
pub async fn fetch(
    storage: &Storage,
    job: &Job,
    slides: impl IntoIterator<Item = i32>,
    spool: &Spool,
) -> Result<Sources, Failure> {
    let none = |error| Failure::Internal(format!("no folder for the sources in {}: {error}", spool.path().display()));
    let folder = spool.folder().map_err(none)?;
    let seen: BTreeMap<i32, Vec<usize>> = slides.into_iter().map(|slide| (slide, job.sources_of(slide))).collect();
    let needed: BTreeSet<usize> = seen.values().flatten().copied().collect();
    let fetches: Vec<_> = needed
        .into_iter()
        .filter_map(|place| Some((place, job.source_paths.get(place)?)))
        .map(|(place, path)| {
            let into = folder.path().join(format!("source-{}", place + 1));
            async move { fetch_one(storage, job, path, into).await.map(|spooled| (place, spooled)) }
        })
        .collect();
    let spooled: BTreeMap<usize, Spooled> = stream::iter(fetches).buffered(AT_ONCE).try_collect().await?;
    let sent = |places: Vec<usize>| {
        let photo = spooled.get(places.first()?)?.shown;
        let files = places.iter().map(|place| Some(spooled.get(place)?.source.clone())).collect::<Option<_>>()?;
        Some(Sent { files, photo })
    };
    let slides = seen.into_iter().filter_map(|(slide, places)| Some((slide, sent(places)?))).collect();
    Ok(Sources { slides, _folder: folder })
}

async fn fetch_one(storage: &Storage, job: &Job, path: &str, into: PathBuf) -> Result<Spooled, Failure> {
    // The database has refused foreign paths already; the key in our hands could read them all, so they are refused here as well.
    let own =
        path.strip_prefix(&format!("{}/", job.user_id)).is_some_and(|rest| !rest.split('/').any(|part| part == ".."));
    if !own {
        return Err(Failure::Unfit {
            code: "source_path_foreign",
            message: format!("The source path {path} is not in the owner's folder."),
        });
    }
    let place = &into;
    let fetch = || async move {
        let bytes = storage.download(path, place, MAX_SOURCE_BYTES).await;
        let fetched = bytes.and_then(|bytes| Ok((bytes, File::open(place)?)));
        fetched.map_err(|error| Failure::Fetch { path: path.to_owned(), error })
    };
    let (bytes, file) = retry(|failed| Tried::Fetch { failed }, fetch).await?;
    let sniffed = tokio::task::spawn_blocking(move || image::sniff(&mut BufReader::new(file)));
    let header = sniffed
        .await
        .map_err(|error| Failure::Internal(error.to_string()))?
        .map_err(|error| Failure::Source { path: path.to_owned(), error })?;
    let source = Source { path: into, bytes, format: header.format };
    Ok(Spooled { source, shown: header.upright() })
}
