//! Signed URLs: who holds one may read, or write, one object for a while, without a key.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::refusal::Refusal;
use super::upload::{Target, wants_upsert};
use super::{Storage, begin, rows};
use crate::caller::Refused;

/// How long a URL for an upload holds, in seconds.
const UPLOAD_SECONDS: i64 = 2 * 60 * 60;

#[derive(Deserialize)]
pub(super) struct SignOne {
    #[serde(rename = "expiresIn")]
    expires_in: i64,
}

#[derive(Deserialize)]
pub(super) struct SignMany {
    #[serde(rename = "expiresIn")]
    expires_in: i64,
    paths: Vec<String>,
}

/// `POST /object/sign/{bucket}/{name}`: who may see the object may sign for it.
pub(super) async fn sign_one(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Json<SignOne>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(SignOne { expires_in }) = body?;
    check_seconds(expires_in)?;
    let caller = storage.caller(&headers)?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    rows::find(&transaction, &bucket, &name).await?;
    Ok(Json(json!({ "signedURL": storage.download_url(&bucket, &name, expires_in)? })))
}

/// `POST /object/sign/{bucket}`: an answer for each path, in their order.
pub(super) async fn sign_many(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    body: Result<Json<SignMany>, JsonRejection>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let Json(SignMany { expires_in, paths }) = body?;
    Refusal::check_items("paths", paths.len())?;
    check_seconds(expires_in)?;
    let caller = storage.caller(&headers)?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    let seen = rows::visible(&transaction, &bucket, &paths).await?;
    let sign = |path: &String| {
        if !seen.contains(path) {
            let error = "Either the object does not exist or you do not have access to it";
            return Ok(json!({ "error": error, "path": path, "signedURL": null }));
        }
        Ok(json!({ "error": null, "path": path, "signedURL": storage.download_url(&bucket, path, expires_in)? }))
    };
    Ok(Json(paths.iter().map(sign).collect::<Result<_, Refusal>>()?))
}

/// `POST /object/upload/sign/{bucket}/{name}`: who may write the object may let another write it.
pub(super) async fn sign_upload(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = storage.caller(&headers)?;
    let (owner, upsert) = (rows::owner(&caller).map(str::to_owned), wants_upsert(&headers));
    let target = Target { bucket, name, owner, upsert, caller: Some(caller) };
    storage.judge(&target).await?;
    let Target { bucket, name, owner, .. } = target;
    let claims = json!({ "url": format!("{bucket}/{name}"), "upsert": upsert, "owner": owner });
    let token = storage.sign(claims, UPLOAD_SECONDS)?;
    Ok(Json(json!({ "url": format!("/object/upload/sign/{bucket}/{name}?token={token}"), "token": token })))
}

impl Storage {
    fn download_url(&self, bucket: &str, name: &str, seconds: i64) -> Result<String, Refusal> {
        let token = self.sign(json!({ "url": format!("{bucket}/{name}") }), seconds)?;
        Ok(format!("/object/sign/{bucket}/{name}?token={token}"))
    }

    /// A token with `claims`. It names no role and no person, so as a user's token it would be worth no more than no token.
    fn sign(&self, mut claims: Value, seconds: i64) -> Result<String, Refusal> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        claims["iss"] = json!(self.keys.issuer);
        claims["aud"] = json!("authenticated");
        claims["iat"] = json!(now);
        claims["exp"] = json!(now.saturating_add(seconds));
        self.keys.sign(&claims).map_err(|error| Refusal::Broken(error.to_string()))
    }

    /// Until when `token` lets its holder read `place` (bucket and name), in seconds since 1970.
    pub(super) fn check_download_token(&self, token: Option<&str>, place: &str) -> Result<u64, Refusal> {
        let claims = self.claims(token, place)?;
        if !claims["upsert"].is_null() {
            return Err(Refusal::Signature);
        }
        claims["exp"].as_u64().ok_or(Refusal::Signature)
    }

    /// Whether `token` lets its holder write `place`: in whose name, and whether over what is there.
    pub(super) fn check_upload_token(
        &self,
        token: Option<&str>,
        place: &str,
    ) -> Result<(Option<String>, bool), Refusal> {
        let claims = self.claims(token, place)?;
        let upsert = claims["upsert"].as_bool().ok_or(Refusal::Signature)?;
        Ok((claims["owner"].as_str().map(str::to_owned), upsert))
    }

    fn claims(&self, token: Option<&str>, place: &str) -> Result<Value, Refusal> {
        let missing = || Refusal::Invalid("querystring must have required property 'token'".to_owned());
        let caller = self.keys.verify(token.ok_or_else(missing)?);
        let caller = caller.map_err(|refused| Refusal::Token(in_the_words_of_the_real_server(refused.message)))?;
        if caller.claims["url"] == place { Ok(caller.claims) } else { Err(Refusal::Signature) }
    }
}

fn check_seconds(seconds: i64) -> Result<(), Refusal> {
    if seconds < 1 { Err(Refusal::Invalid("body/expiresIn must be >= 1".to_owned())) } else { Ok(()) }
}

/// The refusal of a token that somebody called with.
pub(super) fn refused_token(refused: Refused) -> Refusal {
    Refusal::Denied(in_the_words_of_the_real_server(refused.message))
}

/// What is wrong with a token, as the real server's library for them puts it, where that is known.
fn in_the_words_of_the_real_server(reason: String) -> String {
    let known = [
        ("ExpiredSignature", "\"exp\" claim timestamp check failed"),
        ("InvalidSignature", "signature verification failed"),
        ("InvalidToken", "Invalid Compact JWS"),
    ];
    known.iter().find(|(ours, _)| reason.contains(ours)).map_or(reason, |(_, theirs)| (*theirs).to_owned())
}
