//! Source images from this machine into a person's folder, as they are.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use tokio_util::io::ReaderStream;
use uuid::{Builder, Uuid};

use super::board;
use crate::image;
use crate::job::{Format, MAX_SOURCE_BYTES, MAX_SOURCES, MAX_SOURCES_OF_SLIDE};
use crate::supabase::{Caller, Error};

/// A picture on this machine, looked at and found fit to be a source.
pub(super) struct Photo {
    file: PathBuf,
    format: Format,
    bytes: u64,
    digest: [u8; 32],
}

impl Photo {
    /// Looks at every file before any is sent. `most` is how many the job may have.
    ///
    /// # Errors
    /// When one is missing, too large, or no PNG, JPEG or WebP picture; or there are too many.
    pub(super) fn look(files: &[PathBuf], most: usize) -> anyhow::Result<Vec<Self>> {
        let these = files.len();
        ensure!(these <= MAX_SOURCES, "a job takes {MAX_SOURCES} source images at most, and these are {these}");
        ensure!(
            these <= most,
            "a slide sees {MAX_SOURCES_OF_SLIDE} source images at most, and these are {these}: with --slides-from sources each is a slide of its own, and \
             --slide-sources says which go with which slide"
        );
        files.iter().map(|file| Self::open(file).with_context(|| file.display().to_string())).collect()
    }

    fn open(file: &Path) -> anyhow::Result<Self> {
        ensure!(file != Path::new("-"), "standard input can't be sent: name a file, as ./- if that is its name");
        // Looked at before it is opened: to open a pipe is to wait for whoever writes into it.
        let about = std::fs::metadata(file)?;
        ensure!(about.is_file(), "this is no file but {}: save the picture as a file first", kind(&about));
        let bytes = about.len();
        ensure!(
            bytes <= MAX_SOURCE_BYTES,
            "it has {bytes} bytes, and a source image has {MAX_SOURCE_BYTES} (50 MB) at most"
        );
        let mut reader = BufReader::new(File::open(file)?);
        let format = image::sniff(&mut reader)?.format;
        reader.rewind()?;
        let (mut digest, mut buffer, mut bytes) = (Sha256::new(), vec![0; 64 << 10], 0);
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                read => {
                    digest.update(&buffer[..read]);
                    bytes += read as u64;
                }
            }
        }
        Ok(Self { file: file.to_owned(), format, bytes, digest: digest.finalize().into() })
    }

    /// Where it goes. The name is made of the content: the same photo twice is one object, and finds the template that it made the first time.
    fn path(&self, owner: Uuid) -> String {
        let mut first = [0; 16];
        first.copy_from_slice(&self.digest[..16]);
        self.named(owner, Builder::from_custom_bytes(first).into_uuid())
    }

    /// A place where nothing is.
    fn new_path(&self, owner: Uuid) -> String {
        self.named(owner, Uuid::new_v4())
    }

    fn named(&self, owner: Uuid, name: Uuid) -> String {
        format!("{owner}/sources/{name}.{}", self.format.extension())
    }
}

/// What something is that is no file.
fn kind(about: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = about.file_type();
        if kind.is_fifo() {
            return "a pipe";
        } else if kind.is_socket() {
            return "a socket";
        } else if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if about.is_dir() { "a folder" } else { "something else" }
}

/// Uploads photos into the folder of `owner`, each written down before, so that it goes when no job comes of it; those that are there already are
/// left as they are, unless all are to go there `anew`. Returns a path in the bucket for each.
///
/// # Errors
/// What the project answers, with the file's name.
pub(super) async fn upload(caller: &Caller, owner: Uuid, photos: &[Photo], anew: bool) -> anyhow::Result<Vec<String>> {
    let path = |photo: &Photo| if anew { photo.new_path(owner) } else { photo.path(owner) };
    let paths: Vec<String> = photos.iter().map(path).collect();
    // The same photo twice is one object.
    let distinct: BTreeSet<&String> = paths.iter().collect();
    caller.declare(owner, &distinct.into_iter().cloned().collect::<Vec<_>>()).await?;
    let bar = board::transfer("Uploading", photos.iter().map(|photo| photo.bytes).sum());
    for (photo, path) in photos.iter().zip(&paths) {
        send(caller, photo, path, bar.clone())
            .await
            .with_context(|| format!("{} can't be uploaded", photo.file.display()))?;
    }
    bar.finish_and_clear();
    Ok(paths)
}

/// Uploads one photo, if it is not there.
async fn send(caller: &Caller, photo: &Photo, path: &str, bar: ProgressBar) -> anyhow::Result<()> {
    let file = tokio::fs::File::open(&photo.file).await?;
    let body = ReaderStream::new(file).inspect_ok(move |chunk| bar.inc(chunk.len() as u64));
    match caller.upload(path, photo.format.mime(), Some(photo.bytes), body).await {
        Ok(()) | Err(Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
