//! A job with its photos: each file goes from the request to the bucket as it comes, byte for byte, in bounded memory.
//!
//! Each is written down before it is uploaded, so that it goes after a day when no job comes of it: a refused job, a repeated one, a file that is none,
//! a request that breaks off. Nothing is taken back at once: the person may name it elsewhere by then. The work is a task of its own, which goes on
//! when the connection has gone, as the job may have come in whole.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use multer::Field;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Api;
use super::accepted::{accepted, checked};
use super::form::{Form, broken, text};
use super::picture::{self, Asked, PHOTO};
use super::places::{Place, Places};
use super::problem::Problem;
use super::request::{parse, too_slow};
use crate::client::{NewJob, Submitted};
use crate::job::{Format, MAX_SOURCE_BYTES, MAX_SOURCES};
use crate::supabase::{Caller, Error};

/// How long a body may take in all.
const WHOLE: Duration = Duration::from_secs(600);
/// What an upload still gets when the server is to end.
const GRACE: Duration = Duration::from_secs(10);

/// Takes in a form and answers with its job.
pub(super) async fn receive(
    api: &Api,
    caller: Caller,
    request: Request,
    key: Option<String>,
) -> Result<Response, Problem> {
    let boundary = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = boundary.and_then(|value| multer::parse_boundary(value).ok());
    let form = Form::new(request.into_body());
    let begun = async {
        let boundary =
            boundary.ok_or_else(|| Problem::malformed("`Content-Type` names no boundary of the form's parts"))?;
        // The project judges the token before a byte of the body is taken; a repeated request needs none of it.
        let repeated = match &key {
            Some(key) => caller.job_by_key(None, key).await?,
            None => caller.prove().await.map(|()| None)?,
        };
        let user =
            caller.claimed_user().ok_or_else(|| Error::Unauthorized { message: "it names no user".to_owned() })?;
        Ok((boundary, user, api.uploads.take(user)?, repeated))
    };
    let (boundary, user, place) = match begun.await {
        Ok((boundary, user, place, None)) => (boundary, user, place),
        Ok((boundary, user, _, Some(repeated))) => {
            let of_a_picture = form.parts(boundary).next_field().await;
            let of_a_picture = matches!(of_a_picture, Ok(Some(part)) if part.name().is_some_and(picture::has_part));
            api.tasks.spawn(form.discard());
            let waiting = of_a_picture.then(|| api.streams.take(user)).transpose()?;
            return Ok(
                answer(api, &caller, Made { submitted: Submitted { job: repeated, repeated: true }, waiting }).await
            );
        }
        Err(problem) => {
            api.tasks.spawn(form.discard());
            return Err(problem);
        }
    };
    let (answering, answered) = oneshot::channel();
    let (end, streams) = (api.end.clone(), api.streams.clone());
    let mut taking = Taking { caller: caller.clone(), user, streams, stored: Vec::new(), job: None, picture: None };
    api.tasks.spawn(async move {
        let outcome = taking.run(&form, boundary, key, end).await;
        let refused = outcome.is_err();
        // Nobody waits for it when the connection has gone.
        let _ = answering.send(outcome);
        drop(place);
        if refused {
            form.discard().await;
        }
    });
    let made = answered.await.map_err(|_| Problem::internal())??;
    Ok(answer(api, &caller, made).await)
}

/// The job of a form.
struct Made {
    submitted: Submitted,
    /// Where its picture is waited for.
    waiting: Option<Place>,
}

async fn answer(api: &Api, caller: &Caller, Made { submitted, waiting }: Made) -> Response {
    match waiting {
        Some(_place) => picture::of(api, caller, submitted.job).await,
        None => accepted(submitted),
    }
}

/// A form that is being taken in.
struct Taking {
    caller: Caller,
    user: Uuid,
    streams: Places,
    /// Paths that are in the bucket, or may be.
    stored: Vec<String>,
    job: Option<NewJob>,
    /// The parts of a form for one picture, and the place where that is waited for.
    picture: Option<(Asked, Place)>,
}

impl Taking {
    async fn run(
        &mut self,
        form: &Form,
        boundary: String,
        key: Option<String>,
        end: CancellationToken,
    ) -> Result<Made, Problem> {
        let ending = async {
            end.cancelled().await;
            sleep(GRACE).await;
        };
        let taken = tokio::select! {
            taken = timeout(WHOLE, self.take(form, boundary)) => taken.unwrap_or_else(|_| Err(too_slow())),
            () = ending => Err(Problem::busy()),
        };
        taken?;
        let (mut job, waiting) = match (self.job.take(), self.picture.take()) {
            (Some(job), _) => (job, None),
            (None, Some((asked, place))) => (asked.job()?, Some(place)),
            (None, None) => return Err(Problem::malformed("the form has no part `job`")),
        };
        if waiting.is_some() && self.stored.is_empty() {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "sources_missing",
                format!("the form has no part `{PHOTO}`"),
            ));
        }
        if !self.stored.is_empty() {
            job.source_paths.get_or_insert_default().append(&mut self.stored);
        }
        let submitted = self.caller.submit(None, &job, key.as_deref()).await?;
        Ok(Made { submitted, waiting })
    }

    /// Reads all parts: files go to the bucket, the job is kept.
    async fn take(&mut self, form: &Form, boundary: String) -> Result<(), Problem> {
        let mut parts = form.parts(boundary);
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            form.understood();
            match part.name() {
                Some(name) if picture::has_part(name) => self.take_of_picture(part, form).await?,
                Some("job" | "files") if self.picture.is_some() => return Err(mixed()),
                Some("job") if self.job.is_none() => self.job = Some(job(part, form).await?),
                Some("job") => return Err(Problem::malformed("the form has two parts `job`")),
                Some("files") => self.store(part, form).await?,
                _ => return Err(Problem::malformed("the form has a part that is neither `job` nor `files`")),
            }
        }
        Ok(())
    }

    /// What a file is called in a refusal.
    fn what(&self, number: usize) -> String {
        if self.picture.is_some() { format!("the part `{PHOTO}`") } else { format!("file {number}") }
    }

    /// Takes a part of a form for one picture.
    async fn take_of_picture(&mut self, part: Field<'static>, form: &Form) -> Result<(), Problem> {
        if self.picture.is_none() {
            if self.job.is_some() || !self.stored.is_empty() {
                return Err(mixed());
            }
            self.picture = Some((Asked::default(), self.streams.take(self.user)?));
        }
        if part.name() != Some(PHOTO) {
            return match &mut self.picture {
                Some((asked, _)) => asked.take(part, form).await,
                None => Ok(()),
            };
        }
        if !self.stored.is_empty() {
            return Err(Problem::malformed(format!("the form has two parts `{PHOTO}`")));
        }
        self.store(part, form).await
    }

    /// Puts a file into the bucket.
    async fn store(&mut self, mut part: Field<'static>, form: &Form) -> Result<(), Problem> {
        // The job may come behind its files, and then the database says that they are too many.
        let most = self.job.as_ref().map_or(MAX_SOURCES, NewJob::most_sources);
        if self.stored.len() >= most {
            let detail = format!("the request has more than {most} files");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "too_many_sources", detail)
                .hint("A slide sees 1 to 16. With slides_from sources, or with slide_sources, there may be 100 for all slides together."));
        }
        let mut head = Vec::new();
        let mut first = Vec::new();
        while head.len() < Format::MAGIC {
            let Some(chunk) = part.chunk().await.map_err(broken)? else { break };
            form.understood();
            head.extend_from_slice(&chunk[..chunk.len().min(Format::MAGIC)]);
            first.push(chunk);
        }
        let format = Format::of(&head).ok_or_else(|| {
            let what = self.what(self.stored.len() + 1);
            let detail = format!("{what} is no PNG, JPEG or WebP picture, whatever its name says");
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "source_not_an_image", detail)
        })?;
        let path = format!("{}/sources/{}.{}", self.user, Uuid::new_v4(), format.extension());
        self.caller.declare(self.user, std::slice::from_ref(&path)).await?;
        self.stored.push(path.clone());

        // The upload tells only that its body broke off: why is kept here.
        let fault = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&fault);
        let (form, what) = (form.clone(), self.what(self.stored.len()));
        let mut sent = 0;
        let bytes = stream::iter(first.into_iter().map(Ok)).chain(part).map(move |chunk| {
            form.understood();
            let chunk = chunk.map_err(broken).and_then(|chunk: Bytes| {
                sent += chunk.len() as u64;
                if sent <= MAX_SOURCE_BYTES { Ok(chunk) } else { Err(too_large(&what)) }
            });
            chunk.map_err(|problem| {
                keep.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
                io::Error::other("the request broke off")
            })
        });
        let uploaded = self.caller.upload(&path, format.mime(), None, bytes).await;
        let fault = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (fault, uploaded) {
            (Some(problem), _) => Err(problem),
            (None, uploaded) => Ok(uploaded?),
        }
    }
}

/// The part `job`.
async fn job(part: Field<'static>, form: &Form) -> Result<NewJob, Problem> {
    checked(parse(text(part, form, "job").await?.as_bytes())?)
}

fn mixed() -> Problem {
    let detail =
        format!("the form has parts of both kinds: `job` and `files`, and those of one picture like `{PHOTO}`");
    Problem::malformed(detail)
}

fn too_large(what: &str) -> Problem {
    let detail = format!("{what} has more than {} MB", MAX_SOURCE_BYTES >> 20);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", detail)
}
