//! One image edit: `POST /v1/images/edits` at OpenAI or a server that speaks the same way.
//!
//! Sources are streamed from disk, byte for byte, with a MIME type a part and a Content-Length for the whole. The answer is scanned as it comes: its base64
//! is decoded on the way, so an image is in memory once, and only while a transfer permit is held. What goes wrong has a [meaning](Error).
//!
//! Each edit has a connection of its own, over HTTP/1.1. A connection from a pool may have been closed by the other side without our knowing, and an edit that
//! is lost on it was perhaps billed; one shared by a hundred edits loses a hundred at once; and one whose upload was refused half-way can't be used again.
//! Beside an edit of ten seconds and more, a handshake is nothing.
//!
//! Not responsible for trying again ([`crate::failure`] decides), for the rate of calls, nor for whether an image is one ([`crate::image`]).

mod answer;
mod call;
mod cost;
mod elsewhere;
mod error;
mod refusal;
mod retry_after;
mod sizes;
mod upload;
mod usage;
mod wire;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::multipart::Form;
use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use crate::address;
use crate::job::{Format, Size};
use crate::outgoing;
use crate::words::Secrets;
use answer::{Content, Found, Incoming, Limits};
use refusal::Head;
use upload::{EndOfUpload, Upload};

pub use answer::Partial;
pub use cost::{PriceTable, Prices};
pub use error::{Error, Told, Wait};
pub use retry_after::MAX_RETRY_AFTER;
pub use sizes::size_for;
pub use usage::Usage;

/// Edits that send their sources at the same time. Each of them has some hundred kilobytes in memory while the network is slow.
const UPLOADS_AT_ONCE: usize = 32;

/// Where the provider is, and how far it is trusted.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What `/images/edits` is appended to: `https://api.openai.com/v1`.
    pub base_url: Url,
    /// Certificates to trust besides those of the public authorities.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key.
    pub api_key: SecretString,
    /// Header that carries the key: in `authorization` as `Bearer <key>`, in any other (Azure's `api-key`) as it is.
    pub auth_header: String,
    /// Query string without its question mark that is appended to each address, for example `api-version=...`.
    pub query: Option<String>,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long nothing may move while sources are sent or an answer is read.
    pub silence_timeout: Duration,
    /// How long an edit may take in all, without the wait for a transfer permit.
    pub total_timeout: Duration,
    /// Most bytes of an answer as it is sent (base64 is a third more than the image). Partial images have as much each.
    pub max_answer_bytes: usize,
    /// Hosts (`host` or `host:port`) that an image may be fetched from when the answer is an address; with none, such an answer is refused.
    pub url_hosts: Vec<String>,
}

/// Settings that no request can be made with.
#[derive(Debug, thiserror::Error)]
#[error("the provider can't be called: {0}")]
pub struct Unusable(String);

/// A source picture, spooled to disk.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its length; exactly so many bytes are sent.
    pub bytes: u64,
    /// Its format, which becomes the part's MIME type.
    pub format: Format,
}

/// What is asked for: one image.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The model's name.
    pub model: String,
    /// The whole prompt.
    pub prompt: String,
    /// 1 to 16 pictures; their order is the order in which the prompt speaks of them.
    pub sources: Arc<[Source]>,
    /// Size of the image, from [`size_for`].
    pub size: Size,
    /// `low`, `medium`, `high`, `auto`, ...; the provider's default when left out.
    pub quality: Option<String>,
    /// Format of the image.
    pub format: Format,
    /// `transparent`, `opaque` or `auto`.
    pub background: Option<String>,
    /// How many partial images to send on the way, 0 to 3. Each is billed.
    pub partial_images: u8,
    /// A stable opaque id of the person who asked.
    pub safety_identifier: Option<String>,
}

/// An image that was made.
#[derive(Debug)]
pub struct Answer {
    /// The bytes of the file. Not checked to be a picture.
    pub image: Vec<u8>,
    /// What it is billed by, when the provider tells.
    pub usage: Option<Usage>,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The permit that `image` takes its memory by: drop it with the image.
    pub permit: OwnedSemaphorePermit,
}

/// What a check has learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// The provider accepts the key.
    KeyAccepted,
    /// There is something that makes edits, and refuses one of nothing whether it accepts the key or not.
    NothingOfTheKey,
}

/// The provider.
#[derive(Debug)]
pub struct Provider {
    client: Client,
    settings: Settings,
    auth: HeaderMap,
    uploads: Arc<Semaphore>,
}

impl Provider {
    /// A provider with these settings. Connects to nothing.
    pub fn new(settings: Settings) -> Result<Self, Unusable> {
        let unusable = |reason: &str| Unusable(reason.to_owned());
        let base = &settings.base_url;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(unusable("OPENAI_BASE_URL must begin with https:// or http:// and name a host"));
        }
        let name = HeaderName::try_from(settings.auth_header.as_str())
            .map_err(|_| unusable("the name of the header for the key is no header name"))?;
        let key = settings.api_key.expose_secret();
        let value = if name == AUTHORIZATION { format!("Bearer {key}") } else { key.to_owned() };
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| unusable("OPENAI_API_KEY has characters that no key has, perhaps a line end"))?;
        value.set_sensitive(true);
        // Pictures don't get smaller, and what comes compressed could not be read.
        let plain = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        let client = outgoing::client(&settings.certificates).map_err(|error| Unusable(call::reason(&error)))?;
        let client = client
            .default_headers(plain)
            .http1_only()
            .pool_max_idle_per_host(0)
            .connect_timeout(settings.connect_timeout);
        // A peer that stops taking what was already handed to the system is noticed by the system only; where both notice, ours knows more.
        #[cfg(target_os = "linux")]
        let client = client.tcp_user_timeout(settings.silence_timeout * 2);
        let client = client.build().map_err(|error| Unusable(call::reason(&error)))?;
        let auth = HeaderMap::from_iter([(name, value)]);
        Ok(Self { client, settings, auth, uploads: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)) })
    }

    /// Makes one image. Dropping the future drops the connection.
    ///
    /// The answer's body is read only while one permit of `transfers` is held, which then comes with the answer. Partial images go to `partials`, as far as
    /// it has room; they are lost otherwise.
    ///
    /// # Errors
    /// See [`Error`]. Nothing is tried again.
    ///
    /// # Panics
    /// When `transfers` is closed.
    pub async fn edit(
        &self,
        edit: &Edit,
        transfers: &Arc<Semaphore>,
        partials: Option<&mpsc::Sender<Partial>>,
    ) -> Result<Answer, Error> {
        let room = Arc::clone(&self.uploads).acquire_owned().await.expect("the uploads' semaphore is never closed");
        let deadline = Instant::now() + self.settings.total_timeout;
        let secrets = Secrets { key: self.settings.api_key.expose_secret(), prompt: &edit.prompt };
        let upload = Upload::new(&edit.sources, Some(room));
        let _end = EndOfUpload(Arc::clone(&upload));
        let form = upload::form(edit, &upload).map_err(|error| call::lost(&error, &upload))?;
        let request = self.client.post(self.address("images/edits")).multipart(form);
        let response = self.send(request, &upload, deadline).await?;

        let head = Head::of(&response);
        let succeeded = response.status().is_success();
        let bytes = self.settings.max_answer_bytes.saturating_mul(1 + usize::from(edit.partial_images));
        let limits = Limits { silence: self.settings.silence_timeout, deadline, bytes, partials: edit.partial_images };
        let mut incoming = Incoming::new(response, &head, limits);
        if !succeeded {
            return Err(refusal::by_status(&head, &incoming.read_error().await, secrets));
        }
        let Content { found, usage, permit } = incoming.read(transfers, partials, secrets).await?;
        let image = match found {
            Found::Image(image) => image,
            Found::Url(address) => {
                let hosts = &self.settings.url_hosts;
                let url =
                    address::allowed(&address, hosts, &self.settings.base_url).ok_or_else(|| Error::UrlRefused {
                        told: head.told("the address of the image is not at a host that configuration allows"),
                    })?;
                let limits = Limits { bytes: self.settings.max_answer_bytes, ..incoming.limits };
                elsewhere::fetch(&self.client, url, &head, limits).await?
            }
        };
        Ok(Answer { image, usage, request_id: head.request_id, permit })
    }

    /// Makes sure that the provider answers, makes edits and accepts the key, by asking for its models. A compatible server need not have
    /// that list: of one that says so, it is only known that it makes edits.
    pub async fn check(&self) -> Result<Learnt, Error> {
        let deadline = Instant::now() + self.settings.connect_timeout + self.settings.silence_timeout;
        let nothing = Upload::new(&[], None);
        let response = self.send(self.client.get(self.address("models")), &nothing, deadline).await?;
        let head = Head::of(&response);
        let status = response.status();
        let limits = Limits { silence: self.settings.silence_timeout, deadline, bytes: usize::MAX, partials: 0 };
        let mut incoming = Incoming::new(response, &head, limits);
        if matches!(status.as_u16(), 404 | 405 | 410) {
            return self.check_edits().await;
        }
        if !status.is_success() {
            let secrets = Secrets { key: self.settings.api_key.expose_secret(), prompt: "" };
            return Err(refusal::by_status(&head, &incoming.read_error().await, secrets));
        }
        let begin = incoming.next(false).await?.unwrap_or_default();
        if begin.trim_ascii_start().starts_with(b"{") {
            Ok(Learnt::KeyAccepted)
        } else {
            Err(Error::NotFound { told: head.told("it sent no list of models") })
        }
    }

    /// Makes sure that there is something that makes edits, with one that has neither picture nor prompt: nothing can be made of it, nor billed.
    async fn check_edits(&self) -> Result<Learnt, Error> {
        let deadline = Instant::now() + self.settings.connect_timeout + self.settings.silence_timeout;
        let nothing = Upload::new(&[], None);
        let request = self.client.post(self.address("images/edits")).multipart(Form::new().text("n", "1"));
        let response = self.send(request, &nothing, deadline).await?;
        let head = Head::of(&response);
        let succeeded = response.status().is_success();
        let limits = Limits { silence: self.settings.silence_timeout, deadline, bytes: usize::MAX, partials: 0 };
        let incoming = Incoming::new(response, &head, limits);
        if succeeded {
            return Err(Error::NotFound { told: head.told("it takes an edit of nothing for one") });
        }
        let secrets = Secrets { key: self.settings.api_key.expose_secret(), prompt: "" };
        match refusal::by_status(&head, &incoming.read_error().await, secrets) {
            Error::InvalidRequest { .. } | Error::InvalidImage { .. } | Error::ModelNotFound { .. } => {
                Ok(Learnt::NothingOfTheKey)
            }
            error => Err(error),
        }
    }

    fn address(&self, path: &str) -> Url {
        let mut url = self.settings.base_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        if let Some(query) = &self.settings.query {
            let query = [url.query(), Some(query)].into_iter().flatten().collect::<Vec<_>>().join("&");
            url.set_query(Some(&query));
        }
        url
    }
}
