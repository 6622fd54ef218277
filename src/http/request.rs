//! What handlers take from a request, each refused with a problem document: the caller, the path, the query and a JSON body.

use std::time::Duration;

use axum::RequestPartsExt;
use axum::body::{BodyDataStream, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use uuid::Uuid;

use super::Api;
use super::problem::Problem;
use crate::supabase::{Caller, Error};
use crate::words::innermost;

/// A JSON body, at most: the words of a job are 256 kB, and three times as much where each letter is written by its number.
pub(super) const MAX_JSON: usize = 1 << 20;
/// What is read of a body before the project has accepted its token.
const UNPROVEN: usize = 16 << 10;
/// How much of a body is still read after its refusal, and for how long: who is still sending does not see an answer.
const REST: (usize, Duration) = (64 << 20, Duration::from_secs(20));

/// The person whose access token the request has.
pub(super) struct By(pub(super) Caller);

impl FromRequestParts<Api> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        caller(&parts.headers, api).map(Self)
    }
}

fn caller(headers: &HeaderMap, api: &Api) -> Result<Caller, Problem> {
    let token =
        bearer(headers).ok_or_else(|| Problem::from(Error::Unauthorized { message: "there is none".to_owned() }))?;
    Ok(api.project.person(token)?)
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
        let caller = caller(request.headers(), api)?;
        let body = whole(request, api, MAX_JSON, Some(&caller)).await?;
        parse(&body).map(Self)
    }
}

/// The whole of a body that has at most so many bytes. Of one that is not small nothing further is read before the project has accepted the caller.
pub(super) async fn whole(
    request: Request,
    api: &Api,
    most: usize,
    caller: Option<&Caller>,
) -> Result<Vec<u8>, Problem> {
    let body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut pieces = body.into_data_stream();
    let reading = async {
        let mut whole = Vec::new();
        let mut unproven = caller;
        let mut coming = announced;
        loop {
            if coming > most {
                return Err(Problem::body_too_large("1 MiB"));
            }
            if let Some(caller) = unproven.take_if(|_| coming > UNPROVEN) {
                caller.prove().await?;
            }
            let Some(piece) = pieces.next().await else { return Ok(whole) };
            let piece = piece.map_err(|_| Problem::malformed("the body breaks off"))?;
            coming = coming.max(whole.len() + piece.len());
            if coming <= most {
                whole.extend_from_slice(&piece);
            }
        }
    };
    let read = timeout(api.settings.patience, reading).await.unwrap_or_else(|_| Err(too_slow()));
    if read.is_err() {
        api.tasks.spawn(discard(pieces));
    }
    read
}

/// Reads on after a refusal, and keeps nothing of it.
pub(super) async fn discard(mut pieces: BodyDataStream) {
    let (most, time) = REST;
    let rest = async {
        let mut read = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            read += piece.len();
            if read > most {
                break;
            }
        }
    };
    let _ = timeout(time, rest).await;
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
