//! Finished images into a folder: each checked against its row, written beside its place and then moved there.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::board;
use crate::client::Image;
use crate::supabase::Caller;

/// Images on their way at once.
const AT_ONCE: usize = 4;

/// Makes sure that images can be written below `folder`, which need not be there yet. Leaves nothing behind.
///
/// # Errors
/// When something else is there, or in the way, or nothing can be written.
pub(super) fn check(folder: &Path) -> anyhow::Result<()> {
    let refused = || format!("images can't be written to {}", folder.display());
    // What is missing will be made in the first folder above it that is there. A link to nowhere is there, and in the way.
    let missing = |place: &Path| place.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let place = folder.ancestors().find(|place| !place.as_os_str().is_empty() && !missing(place));
    let place = place.unwrap_or(Path::new("."));
    ensure!(place.metadata().with_context(refused)?.is_dir(), "{}: {} is no folder", refused(), place.display());
    beside(place).map(drop).with_context(refused)
}

/// Writes the finished ones of `images` below `folder`, in a folder for each job, and returns the files in the same order.
///
/// Names are made of numbers and ids alone: `{job}/variant-1_4x5_slide-2.png`. A file that is there already is replaced.
///
/// # Errors
/// When one can't be fetched or written, or is not what its row says. Those that came before stay.
pub(super) async fn download(caller: &Caller, images: &[Image], folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let finished: Vec<&Image> = images.iter().filter(|image| image.storage_path.is_some()).collect();
    let bar = board::counter("Downloading", finished.len());
    let files = stream::iter(finished)
        .map(|image| {
            let bar = &bar;
            async move {
                let file = fetch(caller, image, folder).await?;
                bar.inc(1);
                Ok::<_, anyhow::Error>(file)
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await;
    bar.finish_and_clear();
    files
}

async fn fetch(caller: &Caller, image: &Image, folder: &Path) -> anyhow::Result<PathBuf> {
    let path = image.storage_path.as_deref().context("the image is not finished")?;
    let folder = folder.join(image.job_id.to_string());
    std::fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let place = folder.join(name(image));
    let mut file = beside(&folder).with_context(|| format!("nothing can be written in {}", folder.display()))?;

    let download = caller.download(path).await.with_context(|| format!("{} can't be fetched", place.display()))?;
    let wanted = image.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let (mut bytes, mut digest) = (0_u64, Sha256::new());
    let mut chunks = Box::pin(download.stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.with_context(|| format!("{} breaks off", place.display()))?;
        bytes += chunk.len() as u64;
        ensure!(bytes <= wanted, "{} is not what its row says: more than {wanted} bytes", place.display());
        digest.update(&chunk);
        file.write_all(&chunk).with_context(|| format!("{} can't be written", place.display()))?;
    }
    let sha256: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        bytes == wanted && image.sha256.as_deref() == Some(sha256.as_str()),
        "{} is not what its row says: {bytes} of {wanted} bytes, digest {sha256}",
        place.display()
    );
    file.persist(&place).with_context(|| format!("{} can't be written", place.display()))?;
    Ok(place)
}

/// A file's name from numbers and a known shape: nothing that somebody wrote.
fn name(image: &Image) -> String {
    let extension = match image.mime_type.as_deref() {
        Some("image/png") => "png",
        Some("image/jpeg") => "jpg",
        Some("image/webp") => "webp",
        _ => "image",
    };
    format!("variant-{}_{}_slide-{}.{extension}", image.variant, image.aspect_ratio.in_path(), image.slide)
}

/// An unnamed file in `folder`, with the rights that a new file gets.
fn beside(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new();
    file.prefix(".carousel-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the process's mask leaves of it.
        file.permissions(std::fs::Permissions::from_mode(0o666));
    }
    file.tempfile_in(folder)
}
