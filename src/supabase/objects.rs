//! Objects through Storage, as this caller: up, down, signed and removed.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{Stream, TryStream, TryStreamExt};
use reqwest::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, RequestBuilder, Response};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::error::of_objects;
use super::{ANSWER, BUCKET, Caller, Error, TRANSFER, body, path};

/// How much of an answer that is no file is read.
const MAX_ANSWER: usize = 4 << 20;
/// Storage takes so many paths in one request.
const MAX_PATHS: usize = 1_000;

/// An object on its way down.
pub struct Download {
    /// The type that Storage states. It is what the uploader claimed.
    pub mime: Option<String>,
    /// How many bytes it states.
    pub bytes: Option<u64>,
    response: Response,
}

impl Download {
    /// The bytes as they come.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        self.response.bytes_stream().map_err(|error| Error::unreachable(&error, error.url()))
    }
}

impl Caller {
    /// Puts a new object at `path`, byte for byte what the stream gives. State the length where it is known: without it Storage does not look at the
    /// bucket's limit. When the stream fails, no object is made.
    ///
    /// # Errors
    /// `Conflict` when there is one already, `TooLarge`, `UnsupportedType`, `InvalidPath`; else see [`Error`].
    pub async fn upload<S>(&self, path: &str, mime: &str, length: Option<u64>, body: S) -> Result<(), Error>
    where
        S: TryStream<Ok = Bytes> + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = self.signed(self.shared().uploads.post(self.object("object", path)?)).timeout(TRANSFER);
        request = request.header(CONTENT_TYPE, mime).header(CACHE_CONTROL, "max-age=3600");
        if let Some(length) = length {
            request = request.header(CONTENT_LENGTH, length);
        }
        answer(request.body(Body::wrap_stream(body))).await.map(drop)
    }

    /// The object at `path`.
    ///
    /// # Errors
    /// `NotFound`; else see [`Error`].
    pub async fn download(&self, path: &str) -> Result<Download, Error> {
        let address = self.object("object/authenticated", path)?;
        let request = self.signed(self.shared().http.get(address)).timeout(TRANSFER);
        let response = request.send().await.map_err(|error| Error::unreachable(&error, error.url()))?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(refusal(response).await);
        }
        let mime = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Download { mime, bytes: response.content_length(), response })
    }

    /// Addresses that anyone may read the objects at, for so long; `None` for what is not there, or not this caller's to read. Never store one: it is as
    /// good as a key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn sign(&self, paths: &[String], expires: Duration) -> Result<Vec<Option<Url>>, Error> {
        let mut addresses = Vec::with_capacity(paths.len());
        for some in paths.chunks(MAX_PATHS) {
            addresses.extend(self.sign_some(some, expires).await?);
        }
        Ok(addresses)
    }

    async fn sign_some(&self, paths: &[String], expires: Duration) -> Result<Vec<Option<Url>>, Error> {
        let address = path::address(&self.shared().url, ["object", "sign", BUCKET]);
        let request = self.signed(self.shared().http.post(address)).timeout(ANSWER);
        let signed = answer(request.json(&json!({ "expiresIn": expires.as_secs().max(1), "paths": paths }))).await?;
        let signed = signed.as_array().filter(|signed| signed.len() == paths.len());
        let signed = signed.ok_or_else(|| Error::not_understood("it did not sign each path"))?;
        let address = |signed: &Value| {
            let Some(signed) = signed["signedURL"].as_str() else { return Ok(None) };
            let address = format!("{}/storage/v1{signed}", self.shared().url.as_str().trim_end_matches('/')).parse();
            address.map(Some).map_err(|_| Error::not_understood("it signed an address that is none"))
        };
        signed.iter().map(address).collect()
    }

    /// The address at which everybody sees the object, where its bucket is public.
    ///
    /// # Errors
    /// `InvalidPath`; else see [`Error`].
    pub async fn public_address(&self, path: &str) -> Result<Option<Url>, Error> {
        let address = self.object("object/public", path)?;
        let request = self.shared().http.head(address.clone()).timeout(ANSWER);
        let response = request.send().await.map_err(|error| Error::unreachable(&error, error.url()))?;
        Ok(response.status().is_success().then_some(address))
    }

    /// Removes objects; gives the paths of those that were there. What is not there, or not this caller's to remove, is passed over.
    ///
    /// # Errors
    /// See [`Error`]; some may be removed all the same.
    pub async fn remove(&self, paths: &[String]) -> Result<Vec<String>, Error> {
        let address = path::address(&self.shared().url, ["object", BUCKET]);
        let mut removed = Vec::new();
        for some in paths.chunks(MAX_PATHS) {
            let request = self.signed(self.shared().http.delete(address.clone())).timeout(ANSWER);
            let objects = answer(request.json(&json!({ "prefixes": some }))).await?;
            let objects = objects.as_array().ok_or_else(|| Error::not_understood("it sent no list"))?;
            removed.extend(objects.iter().filter_map(|object| object["name"].as_str().map(str::to_owned)));
        }
        Ok(removed)
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("apikey", self.shared().key.expose_secret()).bearer_auth(self.token())
    }

    /// The address of an object. Refuses what Storage refuses, and what would name another object once it stands in an address.
    fn object(&self, what: &str, path: &str) -> Result<Url, Error> {
        Ok(path::object(&self.shared().url, what, BUCKET, path)?)
    }
}

/// The answer to a request for no file: JSON, or a refusal.
async fn answer(request: RequestBuilder) -> Result<Value, Error> {
    let response = request.send().await.map_err(|error| Error::unreachable(&error, error.url()))?;
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    serde_json::from_slice(&body(response, MAX_ANSWER).await?).map_err(|_| Error::not_understood("it sent no JSON"))
}

async fn refusal(response: Response) -> Error {
    let status = response.status().as_u16();
    // A refusal is one, also when its words break off.
    of_objects(status, &body(response, MAX_ANSWER).await.unwrap_or_default())
}
