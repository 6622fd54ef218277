//! Answers under way: how many bytes of them wait for their readers, of one person and of all, and how many requests one token has going.
//!
//! An answer is in memory until it is written. Who does not read theirs gets no further ones; nobody else notices.

use axum::body::{self, Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Api;
use super::places::Place;
use super::problem::Problem;
use super::request::bearer;

/// Serves a request if its person's earlier answers are read.
pub(super) async fn bound(State(api): State<Api>, request: Request, next: Next) -> Response {
    let token = bearer(request.headers()).unwrap_or_default();
    // A claim: who is not the person, or nobody, is refused behind this, and what is refused counts for nobody.
    let Some(person) = api.project.person(token).ok().and_then(|caller| caller.claimed_user()) else {
        return next.run(request).await;
    };
    let digest = Sha256::digest(token);
    let key = digest.first_chunk().copied().map(Uuid::from_bytes).unwrap_or_default();
    let changes_nothing = request.method().is_safe();
    let going = match api.answers.room(person, 1).and_then(|()| api.requests.take(key)) {
        Ok(going) => going,
        Err(problem) => return problem.into_response(),
    };
    let answer = next.run(request).await;
    drop(going);
    // Events have no length, and an end of their own.
    let length = answer.body().size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let Some(length) = length.filter(|length| *length > 0 && answer.status().is_success()) else { return answer };
    // What was done is told, whatever it takes.
    if let Err(problem) = api.answers.room(person, length)
        && changes_nothing
    {
        return problem.into_response();
    }
    let place = api.answers.hold(person, length);
    let (head, body) = answer.into_parts();
    match body::to_bytes(body, length).await {
        Ok(bytes) => Response::from_parts(head, Body::from(Bytes::from_owner(Unread { bytes, _place: place }))),
        Err(_) => Problem::internal().into_response(),
    }
}

/// Bytes that are counted for as long as anybody has them.
struct Unread {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
