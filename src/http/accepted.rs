//! The answer to a request for a job: where it is, and whether an earlier request has made it.

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::client::{NewJob, Submitted};
use crate::supabase::Caller;

/// Says that the answer tells of a job which an earlier request has made.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Puts the job into the queue and answers.
pub(super) async fn accept(caller: &Caller, job: NewJob, key: Option<String>) -> Result<Response, Problem> {
    Ok(accepted(caller.submit(None, &checked(job)?, key.as_deref()).await?))
}

pub(super) fn accepted(Submitted { job, repeated }: Submitted) -> Response {
    let location = format!("/api/image-generator/jobs/{}", job.id);
    let mut answer = (StatusCode::ACCEPTED, [(LOCATION, location)], Json(job)).into_response();
    if repeated {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

/// The job, when its time is one.
pub(super) fn checked(job: NewJob) -> Result<NewJob, Problem> {
    job.checked().map_err(|error| Problem::value_invalid(format!("run_at: {error}")))
}
