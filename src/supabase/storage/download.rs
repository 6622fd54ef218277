//! An object to a local file, byte for byte.

use std::path::Path;

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::time::timeout;

use super::Storage;
use super::error::{Error, lost};
use crate::supabase::BadFile;

/// Each write to a file is a trip to another thread: fewer and larger ones.
const WRITE: usize = 128 * 1024;

impl Storage {
    /// Writes an object to the file `into`, and gives its length. The file is made or overwritten; after an error it holds a part of the object, or nothing.
    ///
    /// # Errors
    /// `TooLarge` when the object has more than `max_bytes`, whatever length the answer states; else see [`Error`].
    pub async fn download(&self, path: &str, into: &Path, max_bytes: u64) -> Result<u64, Error> {
        // Without `authenticated` a key that is not accepted is nobody's, to whom a private bucket is not there.
        let address = self.object("object/authenticated", path)?;
        let _turn = self.downloads.acquire().await.expect("the downloads' semaphore is never closed");
        let request = self.inner.client.get(address);
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(self.answer(response).await.err().unwrap_or_else(|| Error::not_understood("it sent no file")));
        }
        let too_large = || BadFile::TooLarge { message: format!("it has more than {max_bytes} bytes") };
        if response.content_length().is_some_and(|length| length > max_bytes) {
            return Err(too_large().into());
        }
        let mut file = BufWriter::with_capacity(WRITE, create(into).await?);
        let mut bytes = 0;
        loop {
            let chunk = timeout(self.settings.silence_timeout, response.chunk()).await.map_err(|_| Error::silent())?;
            let Some(chunk) = chunk.map_err(|error| lost(&error))? else { break };
            bytes += chunk.len() as u64;
            if bytes > max_bytes {
                return Err(too_large().into());
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        Ok(bytes)
    }
}

/// A file that only this account may read.
async fn create(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true);
    #[cfg(unix)]
    file.mode(0o600);
    file.open(path).await
}
