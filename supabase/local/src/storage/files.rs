//! Bytes on disk: one file for each version of an object, written aside and then renamed, never changed afterwards.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncWriteExt, BufWriter};
use uuid::Uuid;

/// The folder of a Storage server. Clones share it.
#[derive(Clone)]
pub(super) struct Files {
    kept: Arc<Path>,
    incoming: Arc<Path>,
}

/// What is known about a file that arrived whole.
pub(super) struct Arrived {
    pub(super) version: Uuid,
    pub(super) bytes: u64,
    /// With its quotes, as it stands in a header.
    pub(super) etag: String,
}

impl Files {
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        let (kept, incoming) = (root.join("kept"), root.join("incoming"));
        if incoming.exists() {
            std::fs::remove_dir_all(&incoming)?;
        }
        // People's pictures are nobody else's on this machine.
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(&kept)?;
        folder.create(&incoming)?;
        std::fs::set_permissions(root, Permissions::from_mode(0o700))?;
        Ok(Self { kept: kept.into(), incoming: incoming.into() })
    }

    /// The file of `version`, for reading.
    pub(super) async fn open(&self, version: &str) -> io::Result<File> {
        File::open(self.path(version)?).await
    }

    /// Forgets `version`. One that is gone already is no error.
    pub(super) async fn remove(&self, version: &str) {
        let removed = match self.path(version) {
            Ok(path) => fs::remove_file(path).await,
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(version, %error, "a file of the local Storage stays behind");
            }
            _ => {}
        }
    }

    /// A second version with the same bytes.
    pub(super) async fn copy(&self, version: &str) -> io::Result<Uuid> {
        let copy = Uuid::new_v4();
        let aside = self.incoming.join(copy.to_string());
        fs::copy(self.path(version)?, &aside).await?;
        fs::rename(&aside, self.kept.join(copy.to_string())).await?;
        Ok(copy)
    }

    /// Begins a new version.
    pub(super) async fn receive(&self) -> io::Result<Incoming> {
        let version = Uuid::new_v4();
        let aside = self.incoming.join(version.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).await?;
        let file = BufWriter::with_capacity(64 << 10, file);
        Ok(Incoming { version, file, aside, kept: self.kept.join(version.to_string()), sha: Sha256::new(), bytes: 0 })
    }

    /// A version comes from a row, and SQL can write what it likes there: only a UUID names a file.
    fn path(&self, version: &str) -> io::Result<PathBuf> {
        let version = Uuid::parse_str(version).map_err(|_| io::ErrorKind::NotFound)?;
        Ok(self.kept.join(version.to_string()))
    }
}

/// A version that is being written. Dropped before [`Incoming::keep`], it leaves nothing behind.
pub(super) struct Incoming {
    version: Uuid,
    file: BufWriter<File>,
    aside: PathBuf,
    kept: PathBuf,
    sha: Sha256,
    /// How much has arrived.
    pub(super) bytes: u64,
}

impl Incoming {
    pub(super) async fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.sha.update(chunk);
        self.bytes += chunk.len() as u64;
        self.file.write_all(chunk).await
    }

    pub(super) async fn keep(mut self) -> io::Result<Arrived> {
        self.file.flush().await?;
        fs::rename(&self.aside, &self.kept).await?;
        let digest = self.sha.finalize_reset();
        let etag = digest.iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Ok(Arrived { version: self.version, bytes: self.bytes, etag: format!("\"{etag}\"") })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After `keep` there is nothing under this name any more.
        let _ = std::fs::remove_file(&self.aside);
    }
}
