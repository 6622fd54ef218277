//! What handlers take from a request, each refused with a problem document: the caller, the path, the query and a JSON body.

use axum::RequestPartsExt;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Api;
use super::problem::Problem;
use crate::client::{Caller, Error};

/// A JSON body, at most.
pub(super) const MAX_JSON: usize = 4 << 20;

/// The person whose access token the request has.
pub(super) struct By(pub(super) Caller);

impl FromRequestParts<Api> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)
            .ok_or_else(|| Problem::from(Error::Unauthorized { message: "there is none".to_owned() }))?;
        Ok(Self(api.project.person(token)?))
    }
}

/// The token of `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The id in the path. What is no id names nothing.
pub(super) struct Id(pub(super) Uuid);

impl FromRequestParts<Api> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let Path(id) = parts.extract::<Path<Uuid>>().await.map_err(|_| Problem::not_found())?;
        Ok(Self(id))
    }
}

/// The query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let Query(asked) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            Problem::malformed(format!("the query is not understood: {}", innermost(&rejection)))
        })?;
        Ok(Self(asked))
    }
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let kind = content_type(request.headers());
        if kind != "application/json" && !kind.ends_with("+json") {
            return Err(not_json());
        }
        let body = whole(request, api).await?;
        parse(&body).map(Self)
    }
}

/// The whole of a body that may not be large.
pub(super) async fn whole(request: Request, api: &Api) -> Result<Bytes, Problem> {
    match tokio::time::timeout(api.settings.patience, Bytes::from_request(request, api)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(BytesRejection::FailedToBufferBody(error))) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::body_too_large("4 MiB"))
        }
        Ok(Err(_)) => Err(Problem::malformed("the body breaks off")),
        Err(_) => Err(too_slow()),
    }
}

pub(super) fn too_slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not come in time")
}

/// Reads a JSON object, naming the place where it is wrong.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // A list would be taken for the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::malformed("the body is no JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| Problem::malformed(format!("the JSON is not understood: {error}")))
}

/// The media type without its parameters, in lower case.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn not_json() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body_type_not_supported", "the body is not application/json")
        .hint("Send `Content-Type: application/json`.")
}

/// What an error comes down to: its outer words name types of ours.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
