//! Supabase Storage: sources down, images up.
//!
//! Built on the crate `supabase-storage-rs`, with an HTTP client of our own in it (its limits of time, its User-Agent, and the key in both headers). Looking
//! up the bucket is the crate's. Bytes go through the same client in requests of our own, because the crate holds whole bodies in memory, puts paths into
//! addresses as they are, takes the refusals of some calls for successes, and sends a number as `cache-control`, which Storage stores word for word.
//! Removing many objects in one request it can't do.
//!
//! Not responsible for who may see a file (the worker's key sees all: check a path's owner before) nor for trying again. Its weakness: the crate's
//! call holds an answer in memory whatever its size; it is made now and then and never for an image.

mod download;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod tests;
mod upload;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use supabase_storage_rs::models::StorageClient;
use tokio::sync::Semaphore;

use error::lost;
use upload::Uploaders;

use super::path;
use crate::outgoing;

pub use error::Error;

/// Storage removes so many objects in one request.
const MAX_REMOVED: usize = 1_000;
/// Downloads that run at the same time; the others wait. Each has a connection and some hundred kilobytes in memory.
const DOWNLOADS_AT_ONCE: usize = 32;
/// How much of an answer that is no file is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Where Storage is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project: `https://<ref>.supabase.co`.
    pub url: Url,
    /// Certificates to trust besides those of the public authorities.
    pub certificates: Vec<CertificateDer<'static>>,
    /// A secret key, `sb_secret_...`, or the legacy service_role key.
    pub secret_key: SecretString,
    /// The bucket of everything that is read and written.
    pub bucket: String,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long a download may pause.
    pub silence_timeout: Duration,
    /// How long one request may take in all.
    pub total_timeout: Duration,
}

/// Settings that no request can be made with.
#[derive(Debug, thiserror::Error)]
#[error("Storage can't be called: {0}")]
pub struct Unusable(String);

/// What a bucket takes, and who may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether everyone who knows a path may read it.
    pub is_public: bool,
    /// Bytes that a file may have; `None` for the project's own limit.
    pub bytes: Option<u64>,
    /// Media types, which may end in `/*`; `None` for all.
    pub types: Option<Vec<String>>,
}

impl Taken {
    /// Whether files of this media type are taken.
    pub fn takes(&self, mime: &str) -> bool {
        let fits = |allowed: &String| match allowed.strip_suffix('*') {
            Some(family) => mime.starts_with(family),
            None => mime == allowed,
        };
        self.types.as_ref().is_none_or(|types| types.iter().any(fits))
    }
}

/// One bucket of a project's Storage.
pub struct Storage {
    /// The crate's client; its `client` carries key and limits in every request.
    inner: StorageClient,
    uploaders: Uploaders,
    downloads: Semaphore,
    settings: Settings,
}

impl Storage {
    /// A bucket with these settings. Connects to nothing.
    pub fn new(settings: Settings) -> Result<Self, Unusable> {
        let unusable = |reason: &str| Unusable(reason.to_owned());
        if !matches!(settings.url.scheme(), "http" | "https") || settings.url.host_str().is_none() {
            return Err(unusable("SUPABASE_URL must begin with https:// or http:// and name a host"));
        }
        if path::check(&settings.bucket).is_err() || settings.bucket.contains('/') {
            return Err(unusable("the bucket's name has characters that no bucket has"));
        }
        let uploaders = Uploaders::new(settings.clone());
        let downloads = Semaphore::new(DOWNLOADS_AT_ONCE);
        let api_key = settings.secret_key.expose_secret().to_owned();
        let project_url = settings.url.as_str().trim_end_matches('/').to_owned();
        Ok(Self {
            inner: StorageClient { client: client(&settings)?, project_url, api_key },
            uploaders,
            downloads,
            settings,
        })
    }

    /// Makes sure that Storage answers, accepts the key, and has the bucket. Says what the bucket takes, and who may read it.
    pub async fn check(&self) -> Result<Taken, Error> {
        let bucket = self.inner.get_bucket(&self.settings.bucket).await;
        match bucket.map_err(|error| self.failed(error)) {
            Ok(bucket) => Ok(Taken {
                is_public: bucket.public,
                bytes: bucket.file_size_limit.and_then(|bytes| u64::try_from(bytes).ok()),
                types: bucket.allowed_mime_types,
            }),
            // A bucket that was made in SQL has no owner, which the crate doesn't expect.
            Err(Error::NotUnderstood { body: Some(body), .. }) if body["id"].is_string() => Ok(Taken {
                is_public: body["public"] == json!(true),
                bytes: body["file_size_limit"].as_u64(),
                types: serde_json::from_value(body["allowed_mime_types"].clone()).unwrap_or_default(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Removes objects; gives the paths of those that were there. What is not there, or not this key's to remove, is passed over.
    pub async fn remove(&self, paths: &[String]) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for some in paths.chunks(MAX_REMOVED) {
            let address = path::address(&self.settings.url, ["object", &self.settings.bucket]);
            let request = self.inner.client.delete(address);
            let response = request.json(&json!({ "prefixes": some })).send().await.map_err(|error| lost(&error))?;
            let objects = self.answer(response).await?;
            let objects =
                objects.as_array().ok_or_else(|| Error::not_understood("it sent no list of what it removed"))?;
            removed.extend(objects.iter().filter_map(|object| object["name"].as_str().map(str::to_owned)));
        }
        Ok(removed)
    }

    /// The address of an object, behind `what` is to be done with it.
    fn object(&self, what: &str, path: &str) -> Result<Url, Error> {
        Ok(path::object(&self.settings.url, what, &self.settings.bucket, path)?)
    }

    /// Reads an answer that is no file: JSON, or a refusal.
    async fn answer(&self, mut response: Response) -> Result<Value, Error> {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            let chunk = tokio::time::timeout(self.settings.silence_timeout, response.chunk()).await;
            match chunk.map_err(|_| Error::silent()).and_then(|chunk| chunk.map_err(|error| lost(&error))) {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(Error::not_understood("it sent an answer of some megabytes")),
                Ok(None) => break,
                // A refusal is one, also when its words break off.
                Err(_) if status >= 300 => break,
                Err(error) => return Err(error),
            }
        }
        if (200..300).contains(&status) {
            serde_json::from_slice(&body).map_err(|_| Error::not_understood("it sent no JSON"))
        } else {
            Err(self.refused(status, &body))
        }
    }

    fn refused(&self, status: u16, body: &[u8]) -> Error {
        error::refused(status, body, self.settings.secret_key.expose_secret())
    }

    /// The meaning of a failure of the crate's.
    fn failed(&self, error: supabase_storage_rs::errors::Error) -> Error {
        use supabase_storage_rs::errors::Error as Inner;
        match error {
            Inner::RequestError(error) => lost(&error),
            Inner::StorageError { status, message } => self.refused(status.as_u16(), message.as_bytes()),
            other => Error::not_understood(&other.to_string()),
        }
    }
}

/// A client that carries the key in every request.
fn client(settings: &Settings) -> Result<Client, Unusable> {
    let key = settings.secret_key.expose_secret();
    let header = |value: String| {
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            Unusable("SUPABASE_SECRET_KEY has characters that no key has, perhaps a line end".to_owned())
        })?;
        value.set_sensitive(true);
        Ok(value)
    };
    // New keys are read from `apikey`, legacy ones from `Authorization`.
    let headers = HeaderMap::from_iter([
        (HeaderName::from_static("apikey"), header(key.to_owned())?),
        (AUTHORIZATION, header(format!("Bearer {key}"))?),
    ]);
    let client = outgoing::client(&settings.certificates).map_err(|error| Unusable(error.to_string()))?;
    let client =
        client.default_headers(headers).connect_timeout(settings.connect_timeout).timeout(settings.total_timeout);
    // A peer that stops taking what was already handed to the system is noticed by the system only.
    #[cfg(target_os = "linux")]
    let client = client.tcp_user_timeout(settings.silence_timeout);
    client.build().map_err(|error| Unusable(error.to_string()))
}
