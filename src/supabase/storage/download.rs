//! An object to a local file, byte for byte, hashed on the way.

use std::path::Path;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::time::timeout;

use super::Storage;
use super::error::{Error, lost};

/// Each write to a file is a trip to another thread: fewer and larger ones.
const WRITE: usize = 128 * 1024;

/// What came down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Length of the file.
    pub bytes: u64,
    /// The type that Storage states. It is what the uploader claimed.
    pub mime: Option<String>,
    /// SHA-256 of the bytes, in lower-case hexadecimal.
    pub sha256: String,
}

impl Storage {
    /// Writes an object to the file `into`, which is made or overwritten; after an error it holds a part of the object, or nothing.
    ///
    /// # Errors
    /// `TooLarge` when the object has more than `max_bytes`, whatever length the answer states; else see [`Error`].
    pub async fn download(&self, path: &str, into: &Path, max_bytes: u64) -> Result<Downloaded, Error> {
        // Without `authenticated` a key that is not accepted is nobody's, to whom a private bucket is not there.
        let address = self.object(&["object", "authenticated"], path)?;
        let _turn = self.downloads.acquire().await.expect("the downloads' semaphore is never closed");
        let request = self.inner.client.get(address);
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(self.answer(response).await.err().unwrap_or_else(|| Error::not_understood("it sent no file")));
        }
        let too_large = || Error::TooLarge { message: format!("it has more than {max_bytes} bytes") };
        if response.content_length().is_some_and(|length| length > max_bytes) {
            return Err(too_large());
        }
        let mime = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut file = BufWriter::with_capacity(WRITE, create(into).await?);
        let (mut bytes, mut hash) = (0, Sha256::new());
        loop {
            let chunk = timeout(self.settings.silence_timeout, response.chunk()).await.map_err(|_| Error::silent())?;
            let Some(chunk) = chunk.map_err(|error| lost(&error))? else { break };
            bytes += chunk.len() as u64;
            if bytes > max_bytes {
                return Err(too_large());
            }
            hash.update(&chunk);
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        let sha256 = format!("{:x}", Bytes::copy_from_slice(&hash.finalize()));
        Ok(Downloaded { bytes, mime, sha256 })
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
