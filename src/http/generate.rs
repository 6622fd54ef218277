//! `POST /api/image-generator/generate-v2`: a job, by JSON or with its photos.

use axum::extract::{FromRequest, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa::{IntoParams, ToSchema};

use super::accepted::accept;
use super::picture::Picture;
use super::problem::{BadBody, Failures, Missing, PROBLEM, Problem};
use super::request::{Body, By, content_type};
use super::{Api, upload};
use crate::client::{Job, NewJob};
use crate::job::AspectRatio;

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
