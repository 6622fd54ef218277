//! Rows through PostgREST: how requests are sent, and lists are read page by page.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::error::of_rows;
use super::{ANSWER, Caller, Error, body};

/// How much of an answer is read.
const MAX_ANSWER: usize = 32 << 20;
/// Rows of a page, at most.
const MAX_PAGE: usize = 100;

impl Caller {
    /// A request to a table or view of `public` as this caller, to be finished by its methods and sent by [`Caller::rows`] or [`Caller::row`].
    ///
    /// The builder's `in_` does not quote what it is given, and `limit(0)` panics: see to both.
    pub fn from(&self, table: &str) -> postgrest::Builder {
        self.shared().rest.from(table).auth(self.token())
    }

    /// The rows that a request answers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rows<T: DeserializeOwned>(&self, request: postgrest::Builder) -> Result<Vec<T>, Error> {
        let answer = self.send(request).await?;
        serde_json::from_slice(&answer).map_err(Error::not_understood)
    }

    /// The one row that a request answers.
    ///
    /// # Errors
    /// `NotFound` when there is none; else see [`Error`].
    pub async fn row<T: DeserializeOwned>(&self, request: postgrest::Builder) -> Result<T, Error> {
        let answer = self.send(request.single()).await?;
        serde_json::from_slice(&answer).map_err(Error::not_understood)
    }

    /// Makes sure that the project accepts the token.
    ///
    /// # Errors
    /// `Unauthorized`; else see [`Error`].
    pub async fn prove(&self) -> Result<(), Error> {
        self.rows::<serde_json::Value>(self.from("image_generation_jobs").select("id").limit(1)).await.map(drop)
    }

    /// Whether a worker has written this number into the project's database. For the secret key only.
    ///
    /// # Errors
    /// `NotFound` when the project does not know the question; else see [`Error`].
    pub async fn has_proof(&self, nonce: Uuid) -> Result<bool, Error> {
        let question = serde_json::json!({ "nonce": nonce }).to_string();
        let answer = self.send(self.shared().rest.rpc("carousel_has_proof", question).auth(self.token())).await?;
        serde_json::from_slice(&answer).map_err(Error::not_understood)
    }

    /// A request that the crate has worded, sent as all others are: its own client trusts public authorities only, goes through a proxy to this machine,
    /// has no time limit, and reports a refusal as a success.
    async fn send(&self, request: postgrest::Builder) -> Result<Vec<u8>, Error> {
        let worded = request.build().build().map_err(Error::not_understood)?;
        let method = Method::from_bytes(worded.method().as_str().as_bytes()).map_err(Error::not_understood)?;
        let mut request = self.shared().http.request(method, worded.url().clone());
        for (name, value) in worded.headers() {
            request = request.header(name.as_str(), value.as_bytes());
        }
        if let Some(body) = worded.body().and_then(|body| body.as_bytes()) {
            request = request.body(body.to_vec());
        }
        let sending = async {
            let answer = request.send().await.map_err(|error| Error::unreachable(&error, error.url()))?;
            let status = answer.status();
            let body = body(answer, MAX_ANSWER).await?;
            if status.is_success() { Ok(body) } else { Err(of_rows(status.as_u16(), &body)) }
        };
        tokio::time::timeout(ANSWER, sending).await.map_err(|_| Error::silent())?
    }

    /// A page of a list: the newest rows first, after the cursor.
    pub(crate) async fn page<T: DeserializeOwned + Stamped>(
        &self,
        request: postgrest::Builder,
        limit: usize,
        after: Option<&Cursor>,
    ) -> Result<Page<T>, Error> {
        let limit = limit.clamp(1, MAX_PAGE);
        // One row more says whether there is another page.
        let mut request = request.order("created_at.desc,id.desc").limit(limit + 1);
        if let Some(Cursor { created_at, id }) = after {
            request = request.or(format!("created_at.lt.{created_at},and(created_at.eq.{created_at},id.lt.{id})"));
        }
        let mut rows: Vec<T> = self.rows(request).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(Stamped::cursor).transpose()?;
        Ok(Page { rows, next })
    }
}

/// Part of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// What the next page begins after; nothing on the last page.
    pub next: Option<Cursor>,
}

/// A place in a list. As text it is opaque and fits into an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// In UTC, as RFC 3339 writes it.
    created_at: String,
    id: Uuid,
}

impl Cursor {
    fn new(created_at: &str, id: Uuid) -> Option<Self> {
        let moment = OffsetDateTime::parse(created_at, &Rfc3339).ok()?.to_offset(time::UtcOffset::UTC);
        Some(Self { created_at: moment.format(&Rfc3339).ok()?, id })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{} {}", self.created_at, self.id)))
    }
}

/// A text that no list has given out as a cursor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("this is no cursor: take the one that the page before gave")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let text = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoCursor)?;
        let text = String::from_utf8(text).map_err(|_| NoCursor)?;
        let (created_at, id) = text.split_once(' ').ok_or(NoCursor)?;
        Self::new(created_at, id.parse().map_err(|_| NoCursor)?).ok_or(NoCursor)
    }
}

/// A row with a place in a list.
pub(crate) trait Stamped {
    /// When it was made, as PostgREST writes it, and its id.
    fn stamp(&self) -> (&str, Uuid);

    fn cursor(&self) -> Result<Cursor, Error> {
        let (created_at, id) = self.stamp();
        Cursor::new(created_at, id).ok_or_else(|| Error::not_understood("created_at is no time"))
    }
}

/// A text within a filter that has a syntax of its own, such as `or`: in quotes, so that it can't end what it stands in.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_nothing_else_is_one() {
        let cursor = Cursor::new("2026-11-25T10:00:00.123456+01:00", Uuid::nil()).unwrap();
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        assert_eq!(cursor.created_at, "2026-11-25T09:00:00.123456Z");
        let text = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let id = Uuid::nil();
        for hostile in ["", "x", "é", &text(""), &text(&format!("now),id.gt.0 {id}")), &text("2026-11-25T10:00:00Z 1")]
        {
            assert_eq!(hostile.parse::<Cursor>(), Err(NoCursor), "{hostile}");
        }
    }

    #[test]
    fn a_quoted_text_can_not_end_its_quotes() {
        assert_eq!(quoted(r#"a"),id.gt.0\"#), r#""a\"),id.gt.0\\""#);
    }
}
