//! `POST /api/image-generator/generate-v2`: a job, by JSON or with its photos.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::FromRequest;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::picture::Picture;
use super::problem::{BadBody, Failures, Missing, PROBLEM, Problem};
use super::request::{Body, By, content_type};
use super::{Api, upload};
use crate::client::Job;
use crate::job::{self, AspectRatio, Format, SlidesFrom};
use crate::supabase::{Caller, Error};

/// Sources of a job, at most.
pub(super) const MOST_SOURCES: usize = 100;

/// Says that the answer tells of a job which an earlier request has made.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is asked for. What is left out comes from the template, or is the default.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewJob {
    /// One of your templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) template_id: Option<Uuid>,
    /// Groups jobs that are sent together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_id: Option<Uuid>,
    /// What lists show, at most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub(super) title: Option<String>,
    /// What to make of the sources, at most 32000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32000)]
    pub(super) prompt: Option<String>,
    /// One text a slide; none for a single slide, or for slides that share the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub(super) slide_prompts: Option<Vec<String>>,
    /// Objects in the bucket, in your own folder: `{user id}/sources/...`. At most 16, files of the request included; at most 100 where no slide sees more
    /// than 16 of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub(super) source_paths: Option<Vec<String>>,
    /// `prompts` when nobody says: a slide for each slide prompt, and each sees all sources. `sources`: each source becomes a slide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slides_from: Option<SlidesFrom>,
    /// For each slide, which sources go along with it, by number from 1: each source with a slide, at most 16 with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub(super) slide_sources: Option<Vec<Vec<u32>>>,
    /// Each once; `1:1` when nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 8)]
    pub(super) aspect_ratios: Option<Vec<AspectRatio>>,
    /// Variants of the whole carousel, 1 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    pub(super) variants: Option<i32>,
    /// Style options; each is added to the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) style: Option<Map<String, Value>>,
    /// Values for `{{name}}` in the prompts, before the template's own: at most 50, names like `product_2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) variables: Option<BTreeMap<String, String>>,
    /// Provider model; the worker's default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub(super) model: Option<String>,
    /// `low`, `medium`, `high`, `xhigh`, `max` or `auto`; the worker's default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quality: Option<String>,
    /// `png` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_format: Option<Format>,
    /// `transparent`, `opaque` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) background: Option<String>,
    /// Previews to show while an image is made, 0 to 3. Each is billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 3)]
    pub(super) partial_previews: Option<i32>,
    /// Order among your own jobs, -100 to 100, higher first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -100, maximum = 100)]
    pub(super) priority: Option<i32>,
    /// Not before this time, as RFC 3339 writes it: with its zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub(super) run_at: Option<String>,
}

impl NewJob {
    /// The job, when its time is one. The database would take a time without a zone for one of its own.
    pub(super) fn checked(mut self) -> Result<Self, Problem> {
        if let Some(text) = &self.run_at {
            let at = job::moment(text).map_err(|error| Problem::value_invalid(format!("run_at: {error}")))?;
            self.run_at = at.format(&Rfc3339).ok();
        }
        Ok(self)
    }

    /// Sources that it may have, as far as it tells: a template may say more.
    pub(super) fn most_sources(&self) -> usize {
        let shared = self.template_id.is_none()
            && self.slide_sources.is_none()
            && self.slides_from.unwrap_or_default() == SlidesFrom::Prompts;
        if shared { 16 } else { MOST_SOURCES }
    }
}

/// A job with its photos: `job` and `files`. Or one picture, as frontends from before carousel ask for it: `source_image`, `prompt`, and what else is said of it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes a body that is read piece by piece")]
pub(super) struct JobForm {
    /// What is asked for, as JSON.
    job: Option<NewJob>,
    /// Photos: PNG, JPEG or WebP, of at most 50 MB each; at most 16, and 100 where no slide sees more than 16. They are kept byte for byte, behind the
    /// job's `source_paths`.
    #[schema(value_type = Option<Vec<String>>, format = Binary)]
    files: Option<Vec<Vec<u8>>>,
    /// The photo of one picture: PNG, JPEG or WebP, of at most 50 MB.
    #[schema(value_type = Option<String>, format = Binary)]
    source_image: Option<Vec<u8>>,
    /// What to make of that photo.
    prompt: Option<String>,
    /// Which carousel of the caller's the picture is for, from 0.
    carousel_index: Option<u32>,
    /// Which slide of that carousel it is for, from 0.
    image_index: Option<u32>,
    /// JSON: `aspect_ratio`, `quality` (`standard`, `hd`, or as in a job), `use_lowercase`, `add_borders`, `border_color`. Other settings change nothing.
    settings: Option<String>,
    /// Instead of the one in `settings`; `auto` when nobody says.
    aspect_ratio: Option<AspectRatio>,
}

/// Makes a repeated request safe.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it describes a header that is read by hand")]
pub(super) struct IdempotencyKey {
    /// A text of your own, unique for this job: a repeated request with it is answered with the first one's job.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 200, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// The request's `Idempotency-Key`.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = || Problem::malformed("`Idempotency-Key` is not 1 to 200 printable ASCII characters without spaces");
    let key = key.to_str().map_err(|_| wrong())?;
    if (1..=200).contains(&key.len()) && key.bytes().all(|letter| letter.is_ascii_graphic()) {
        Ok(Some(key.to_owned()))
    } else {
        Err(wrong())
    }
}

/// Make carousels
///
/// By JSON, when the photos are in the bucket already or come from a template; or as a form with the photos. The answer comes as soon as the job
/// is in the queue: watch it by `events`, by Realtime, or by asking for it.
///
/// A form for one picture, as frontends from before carousel send it, is answered with that picture, when it is there. Its job goes on, also when nobody
/// waits any more.
#[utoipa::path(post, path = "/api/image-generator/generate-v2", tag = "Jobs", params(IdempotencyKey), security(("token" = [])),
    request_body(content((NewJob = "application/json"), (JobForm = "multipart/form-data"))),
    responses(
        (status = 200, description = "The picture, where a form asked for one.", body = Picture, headers(
            ("location" = String, description = "Where its job is."))),
        (status = 202, description = "The job; it is worked on as soon as a worker is free.", body = Job, headers(
            ("location" = String, description = "Where the job is."),
            ("idempotency-replayed" = Option<String>, description = "`true` when an earlier request with the same key has made it."))),
        (status = 409, description = "Another request is making a job with this key; or the job of the one picture was cancelled.", body = Problem,
            content_type = PROBLEM),
        (status = 422, description = "The one picture could not be made; `code` is its job's.", body = Problem, content_type = PROBLEM),
        (status = 504, description = "The one picture is not ready yet. Its job goes on: `Location` tells where.", body = Problem, content_type = PROBLEM),
        Failures, Missing, BadBody))]
pub(super) async fn generate(State(api): State<Api>, By(caller): By, request: Request) -> Result<Response, Problem> {
    let key = key(request.headers())?;
    if content_type(request.headers()) == "multipart/form-data" {
        return upload::receive(&api, caller, request, key).await;
    }
    let Body(job) = Body::from_request(request, &api).await?;
    accept(&caller, job, key).await
}

/// Puts the job into the queue and answers.
pub(super) async fn accept(caller: &Caller, job: NewJob, key: Option<String>) -> Result<Response, Problem> {
    match insert(caller, &job.checked()?, key.as_deref()).await {
        Ok((job, repeated)) => Ok(accepted(job, repeated)),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn accepted(job: Job, repeated: bool) -> Response {
    let location = format!("/api/image-generator/jobs/{}", job.id);
    let mut answer = (StatusCode::ACCEPTED, [(LOCATION, location)], Json(job)).into_response();
    if repeated {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

/// Makes the job, or finds the one that an earlier request with the same key has made, and says which.
pub(super) async fn insert(caller: &Caller, job: &NewJob, key: Option<&str>) -> Result<(Job, bool), Error> {
    #[derive(Serialize)]
    struct Row<'a> {
        id: Uuid,
        #[serde(flatten)]
        job: &'a NewJob,
        #[serde(skip_serializing_if = "Option::is_none")]
        idempotency_key: Option<&'a str>,
    }
    // An id of ours: when the answer is lost, it tells whether the job was made.
    let row = Row { id: Uuid::new_v4(), job, idempotency_key: key };
    let error = match caller.insert_job(&row).await {
        Ok(job) => return Ok((job, false)),
        Err(error) => error,
    };
    match (&error, key) {
        (Error::Conflict { .. }, Some(key)) => match caller.job_by_key(key).await {
            Ok(job) => Ok((job, true)),
            // It was there, and is gone again.
            Err(Error::NotFound) => Err(error),
            Err(error) => Err(error),
        },
        (Error::Unreachable { .. } | Error::Unavailable { .. } | Error::NotUnderstood { .. }, _) => {
            caller.job(row.id).await.map(|job| (job, false)).map_err(|_| error)
        }
        _ => Err(error),
    }
}
