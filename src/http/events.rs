//! `GET /api/image-generator/jobs/{id}/events`: a job's rows as server-sent events, for clients without Realtime.
//!
//! The rows are the truth: they are read whenever Realtime hints at a change, and every few seconds anyway. An event's id is a digest of every row that was
//! told up to it, so whoever comes back with `Last-Event-ID` gets what is different by then, whichever server they come back to.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::stream;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Api;
use super::problem::{Failures, Missing, Problem};
use super::request::{By, Id};
use crate::client::{Hints, Image, Job};
use crate::supabase::{Caller, Error};

/// Between comments that keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A stream ends after this; its client comes back for the rest.
const LONGEST: Duration = Duration::from_secs(3600);
/// When a browser comes back.
const COME_BACK: Duration = Duration::from_secs(2);

/// Where to go on.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it describes a header that is read by hand")]
pub(super) struct LastEventId {
    /// The id of the last event that was seen; a browser sends it by itself.
    #[param(rename = "Last-Event-ID")]
    last_event_id: Option<String>,
}

/// One event.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes events, which are written line by line")]
pub(super) struct JobEvent {
    /// `job`, `image`, `gone` or `problem`.
    event: Option<String>,
    /// What to come back with, as `Last-Event-ID`.
    id: Option<String>,
    /// JSON: the row of the job or the image, or the problem document.
    data: Option<String>,
}

/// Watch a job
///
/// Server-sent events. `job` and `image` carry a row that is new or different, the images before the job that counts them; of the job without its texts, which
/// stay as they are; `gone` says that the job was
/// deleted; `problem` carries a problem document and ends the stream, for example when the access token is old. The stream ends when the job is over.
#[utoipa::path(get, path = "/api/image-generator/jobs/{id}/events", tag = "Jobs",
    params(("id" = Uuid, Path, description = "The job's id."), LastEventId), security(("token" = [])),
    responses(
        (status = 200, description = "The events.", body = JobEvent, content_type = "text/event-stream"),
        (status = 204, description = "The job is over, and everything was seen: don't come back."),
        Failures, Missing))]
pub(super) async fn events(
    State(api): State<Api>,
    By(caller): By,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let rows = caller.progress(id).await?;
    let place = api.streams.take(rows.0.user_id)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let seen = last.and_then(Seen::parse).unwrap_or_default();
    if last.is_some() && rows.0.status.is_over() && seen.clone().news(&rows).is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (sender, events) = mpsc::channel(16);
    let watch = Watch { caller, id, seen, sender };
    let end = api.end.clone();
    api.tasks.spawn(async move {
        let watching = timeout(LONGEST, watch.run(rows));
        tokio::select! {
            _ = watching => {}
            () = end.cancelled() => {}
        }
        drop(place);
    });
    let events = stream::unfold(events, |mut events| async move {
        let event: Event = events.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(event), events))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

type Rows = (Job, Vec<Image>);

/// A stream that goes on.
struct Watch {
    caller: Caller,
    id: Uuid,
    seen: Seen,
    sender: mpsc::Sender<Event>,
}

impl Watch {
    /// Tells what is new until the job is over, or nobody listens any more.
    async fn run(mut self, mut rows: Rows) -> Option<()> {
        self.sender.send(Event::default().retry(COME_BACK).comment("the rows follow")).await.ok()?;
        let mut hints = Hints::new(&self.caller, self.id, rows.0.user_id);
        loop {
            for (name, row, seen) in self.seen.news(&rows) {
                let event = Event::default().event(name).data(row).id(seen);
                self.sender.send(event).await.ok()?;
            }
            if rows.0.status.is_over() {
                return Some(());
            }
            tokio::select! {
                () = self.sender.closed() => return None,
                () = hints.changed() => {}
            }
            rows = match self.caller.progress(self.id).await {
                Ok(rows) => rows,
                Err(Error::NotFound) => return self.sender.send(Event::default().event("gone").data("{}")).await.ok(),
                Err(error @ Error::Unauthorized { .. }) => {
                    let problem = serde_json::to_string(&Problem::from(error)).unwrap_or_default();
                    return self.sender.send(Event::default().event("problem").data(problem)).await.ok();
                }
                Err(error) => {
                    tracing::debug!(%error, job = %self.id, "a watched job can't be read; looking again soon");
                    rows
                }
            };
        }
    }
}

/// Digests of the rows that were told, the job's and each image's; 0 for one that was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    job: u32,
    images: Vec<u32>,
}

impl Seen {
    /// An event's id.
    fn parse(text: &str) -> Option<Self> {
        // A job has at most 100 images.
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.len() <= 4 * 101)?;
        let (words, rest) = bytes.as_chunks::<4>();
        let (job, images) = words.split_first().filter(|_| rest.is_empty())?;
        let number = |word: &[u8; 4]| u32::from_be_bytes(*word);
        Some(Self { job: number(job), images: images.iter().map(number).collect() })
    }

    fn id(&self) -> String {
        let words = [self.job].into_iter().chain(self.images.iter().copied());
        URL_SAFE_NO_PAD.encode(words.flat_map(u32::to_be_bytes).collect::<Vec<u8>>())
    }

    /// The rows that are different, each with its event's name and the id behind it, and takes them for seen.
    fn news(&mut self, (job, images): &Rows) -> Vec<(&'static str, String, String)> {
        let mut news = Vec::new();
        // A job's images are made together and go together.
        self.images.resize(images.len(), 0);
        for (place, image) in images.iter().enumerate() {
            let (digest, row) = digested(image);
            if self.images[place] != digest {
                self.images[place] = digest;
                news.push(("image", row, self.id()));
            }
        }
        let (digest, row) = digested(job);
        if self.job != digest {
            self.job = digest;
            news.push(("job", row, self.id()));
        }
        news
    }
}

/// A row as JSON, and its digest, which is never 0.
fn digested(row: &impl Serialize) -> (u32, String) {
    let row = serde_json::to_string(row).unwrap_or_default();
    let digest = Sha256::digest(row.as_bytes());
    (u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1), row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_went_and_anything_else_is_none() {
        for seen in [Seen { job: 7, images: Vec::new() }, Seen { job: u32::MAX, images: vec![1; 100] }] {
            assert_eq!(Seen::parse(&seen.id()), Some(seen));
        }
        for hostile in ["", "x", "AAAA", "../..", "é", &URL_SAFE_NO_PAD.encode([0; 408])] {
            assert_eq!(Seen::parse(hostile), None, "{hostile}");
        }
    }
}
