//! A project's API as one caller sees it: rows through PostgREST, objects through Storage, changes through Realtime.
//!
//! The caller's own token goes with every request, so the project's policies decide, here as in a browser. Nothing is tried again here, and nothing is
//! kept between two requests but connections.
//!
//! The worker has its own ways to the database and to Storage. It uses this to prove that both are one project's.

mod changes;
mod error;
mod objects;
mod path;
mod refusal;
mod rows;
pub mod storage;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderValue;
use reqwest::{Client, ClientBuilder, Response};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use crate::outgoing;

pub use changes::{Change, Event, Kind, Subscription};
pub use error::Error;
pub use objects::Download;
pub use refusal::BadFile;
pub use rows::{Cursor, NoCursor, Page};
pub(crate) use rows::{Stamped, quoted};

/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one request may take, transfers of objects aside.
const ANSWER: Duration = Duration::from_secs(30);
/// How long the transfer of an object may take.
const TRANSFER: Duration = Duration::from_secs(600);
/// The bucket of everything that is read and written.
const BUCKET: &str = "generated-carousels";

/// Settings that no request can be made with.
#[derive(Debug, thiserror::Error)]
#[error("the project can't be called: {0}")]
pub struct Unusable(String);

/// A Supabase project and the API key that requests to it carry. Cloning is cheap.
#[derive(Clone)]
pub struct Project {
    shared: Arc<Shared>,
}

struct Shared {
    url: Url,
    key: SecretString,
    /// Words requests for rows; they are sent by `http`.
    rest: postgrest::Postgrest,
    http: Client,
    /// Storage refuses an upload early and never reads the rest of it: what is sent on that connection next waits for a minute. So no connection of an
    /// upload is used twice.
    uploads: Client,
    /// For websockets.
    tls: Arc<ClientConfig>,
}

impl Project {
    /// The project at `url`. The key is the publishable one, with which people act by their tokens, or the secret one, which acts by itself. The
    /// certificates are trusted besides those of the public authorities. Connects to nothing.
    ///
    /// # Errors
    /// When the URL or the key can't stand in a request, or one of the certificates can't be trusted.
    pub fn new(url: &Url, key: SecretString, certificates: &[CertificateDer<'static>]) -> Result<Self, Unusable> {
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Unusable("SUPABASE_URL must begin with https:// or http:// and name a host".to_owned()));
        }
        // The crates that carry it panic at what can't stand in a header.
        if !stands_in_a_header(key.expose_secret()) {
            return Err(Unusable(
                "the API key is empty or has characters that no key has, perhaps a line end".to_owned(),
            ));
        }
        let rows = format!("{}/rest/v1", url.as_str().trim_end_matches('/'));
        let rest = postgrest::Postgrest::new(rows).insert_header("apikey", key.expose_secret());
        let unusable = |error: reqwest::Error| Unusable(error.to_string());
        let client = || outgoing::client(certificates).map(|client| client.connect_timeout(CONNECT));
        let http = client().and_then(ClientBuilder::build).map_err(unusable)?;
        let uploads = client().and_then(|client| client.pool_max_idle_per_host(0).build()).map_err(unusable)?;
        let tls = outgoing::tls(certificates).map_err(|error| Unusable(error.to_string()))?;
        Ok(Self { shared: Arc::new(Shared { url: url.clone(), key, rest, http, uploads, tls: Arc::new(tls) }) })
    }

    /// A person, by the access token that they signed in for.
    ///
    /// # Errors
    /// `Unauthorized` when the text can't be a token. Whether it is a good one is the project's to say, at the first request.
    pub fn person(&self, token: &str) -> Result<Caller, Error> {
        let plausible = token.len() <= 8_192 && stands_in_a_header(token) && token.split('.').count() == 3;
        if !plausible {
            return Err(Error::Unauthorized { message: "this is no access token of the project's".to_owned() });
        }
        Ok(Caller { project: self.clone(), token: token.to_owned().into() })
    }

    /// Makes sure that the project answers, accepts the key, and has the schema.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn check(&self) -> Result<(), Error> {
        match self.key_holder().prove().await {
            // Nobody in particular may read the jobs; but they are there.
            Err(Error::Unauthorized { message } | Error::Forbidden { message })
                if message.starts_with("permission denied for") =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Whoever holds the project's key alone: the operator with a secret key, nobody in particular with a publishable one.
    pub fn key_holder(&self) -> Caller {
        Caller { project: self.clone(), token: self.shared.key.clone() }
    }
}

/// Letters that keys and tokens are made of.
fn stands_in_a_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_graphic()) && HeaderValue::from_str(text).is_ok()
}

/// Somebody who acts on a project. Every request carries the project's key and this caller's token.
#[derive(Clone)]
pub struct Caller {
    project: Project,
    token: SecretString,
}

impl Caller {
    /// The user id that the token claims, first segment of every path of theirs; nothing for a key.
    ///
    /// A claim only: it is true once the project has answered a request with this token.
    pub fn claimed_user(&self) -> Option<Uuid> {
        #[derive(Deserialize)]
        struct Claims {
            sub: Uuid,
        }
        let claims = self.token().split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
        Some(serde_json::from_slice::<Claims>(&claims).ok()?.sub)
    }

    /// Listens for changes of rows that this caller may see: what commits after this returns is heard of.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses the key, the token or one of the changes.
    pub async fn changes(&self, changes: &[Change]) -> Result<Subscription, Error> {
        Subscription::open(self, changes).await
    }

    /// Listens on the channel of a person, where changes of all their jobs and images are told.
    ///
    /// # Errors
    /// As [`Caller::changes`]; `Forbidden` where the project has no such channels, or the channel is another's.
    pub async fn changes_of_person(&self, person: Uuid) -> Result<Subscription, Error> {
        Subscription::of_person(self, person).await
    }

    /// Listens for changes of a job and its images: on its owner's channel, where there may be others' as well, and where the project has no such
    /// channels on the tables.
    pub async fn changes_of(&self, job: Uuid, owner: Uuid) -> Result<Subscription, Error> {
        match self.changes_of_person(owner).await {
            Err(Error::Forbidden { message }) => {
                tracing::debug!(message, "there is no channel of the owner's, listening to the tables instead");
                let of = |table: &str, column: &str| Change {
                    table: table.to_owned(),
                    filter: Some(format!("{column}=eq.{job}")),
                };
                self.changes(&[of("image_generation_jobs", "id"), of("generated_carousel_images", "job_id")]).await
            }
            joined => joined,
        }
    }

    fn token(&self) -> &str {
        self.token.expose_secret()
    }

    fn shared(&self) -> &Shared {
        &self.project.shared
    }
}

/// The body of an answer that may have so many bytes.
async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::unreachable(&error, error.url()))? {
        if body.len() + chunk.len() > most {
            return Err(Error::not_understood("it sent an answer of many megabytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Without key and token.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("url", &self.shared().url.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(key: &str) -> Result<Project, Unusable> {
        Project::new(&"http://127.0.0.1:1".parse().unwrap(), key.to_owned().into(), &[])
    }

    #[test]
    fn what_no_header_can_carry_is_refused_before_it_reaches_one() {
        for key in ["", "a\nb", "a b", "schlüssel", "a\0"] {
            assert!(project(key).is_err(), "{key:?}");
        }
        let project = project("sb_publishable_x").unwrap();
        for token in ["", "a", "a.b", "a.b.c\n", "a.b.ç", "a.b c.d", &format!("a.b.{}", "x".repeat(9_000))] {
            assert!(matches!(project.person(token), Err(Error::Unauthorized { .. })), "{token:?}");
        }
    }

    #[test]
    fn the_claimed_user_is_read_from_any_token_without_a_panic() {
        let project = project("sb_publishable_x").unwrap();
        let id = Uuid::new_v4();
        let claims = |claims: String| format!("e30.{}.s", URL_SAFE_NO_PAD.encode(claims));
        let read = |token: &str| project.person(token).unwrap().claimed_user();
        assert_eq!(read(&claims(format!(r#"{{"sub":"{id}","role":"authenticated"}}"#))), Some(id));
        for token in [claims("{}".into()), claims(r#"{"sub":"../x"}"#.into()), "a.b.c".into(), "..".into()] {
            assert_eq!(read(&token), None, "{token}");
        }
        assert_eq!(project.key_holder().claimed_user(), None);
    }
}
