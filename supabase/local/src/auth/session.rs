//! Sessions: an access token for an hour, and a refresh token that is changed each time it is used.

use deadpool_postgres::Transaction;
use serde_json::{Value, json};
use uuid::Uuid;

use super::refusal::Refusal;
use super::users;
use crate::caller::Keys;

/// Seconds that an access token is good for.
const LIFETIME: i64 = 3600;

/// How long a refresh token that was just used still answers, with its successor: two tabs may refresh at once.
const REUSE: &str = "10 seconds";

/// Which sessions a sign-out ends.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    #[default]
    Global,
    Local,
    Others,
}

/// Signs a user in: a new session and its first tokens.
pub(super) async fn start(transaction: &Transaction<'_>, keys: &Keys, user: Uuid) -> Result<Value, Refusal> {
    let session = Uuid::new_v4();
    let insert = "with signed_in as (update auth.users set last_sign_in_at = now(), updated_at = now() where id = $2) \
                  insert into auth.sessions (id, user_id, created_at, updated_at, aal) values ($1, $2, now(), now(), 'aal1')";
    transaction.execute(insert, &[&session, &user]).await?;
    let token = insert_refresh_token(transaction, user, session, None).await?;
    answer(transaction, keys, user, session, &token).await
}

/// What came of a refresh token.
pub(super) enum Refreshed {
    Session(Value),
    /// It was used before, so somebody may have stolen it: its session's tokens are revoked, which has to be kept.
    Reused,
}

/// Changes a refresh token for new tokens.
pub(super) async fn refresh(transaction: &Transaction<'_>, keys: &Keys, token: &str) -> Result<Refreshed, Refusal> {
    let query = format!(
        "select session_id, user_id::uuid, revoked, updated_at > now() - interval '{REUSE}' \
         from auth.refresh_tokens where token = $1 for update"
    );
    let Some(row) = transaction.query_opt(&query, &[&token]).await? else {
        let words = "Invalid Refresh Token: Refresh Token Not Found";
        return Err(Refusal::new(400, "refresh_token_not_found", words));
    };
    let (session, user): (Uuid, Uuid) = (row.get(0), row.get(1));
    let (revoked, just_now): (bool, bool) = (row.get(2), row.get(3));
    let next = if revoked {
        let successor = "select token from auth.refresh_tokens where parent = $1 and not revoked";
        match transaction.query_opt(successor, &[&token]).await? {
            Some(row) if just_now => row.get(0),
            _ => {
                let revoke = "update auth.refresh_tokens set revoked = true, updated_at = now() where session_id = $1";
                transaction.execute(revoke, &[&session]).await?;
                return Ok(Refreshed::Reused);
            }
        }
    } else {
        let revoke = "update auth.refresh_tokens set revoked = true, updated_at = now() where token = $1";
        transaction.execute(revoke, &[&token]).await?;
        let touch = "update auth.sessions set refreshed_at = now(), updated_at = now() where id = $1";
        transaction.execute(touch, &[&session]).await?;
        insert_refresh_token(transaction, user, session, Some(token)).await?
    };
    answer(transaction, keys, user, session, &next).await.map(Refreshed::Session)
}

/// Ends sessions of `user`, whose own is `session`. Access tokens that are out stay good until they expire.
pub(super) async fn end(transaction: &Transaction<'_>, user: Uuid, session: Uuid, scope: Scope) -> Result<(), Refusal> {
    let (own, others) = match scope {
        Scope::Global => (true, true),
        Scope::Local => (true, false),
        Scope::Others => (false, true),
    };
    let delete = "delete from auth.sessions where user_id = $1 and case when id = $2 then $3::bool else $4::bool end";
    transaction.execute(delete, &[&user, &session, &own, &others]).await?;
    Ok(())
}

async fn insert_refresh_token(
    transaction: &Transaction<'_>,
    user: Uuid,
    session: Uuid,
    parent: Option<&str>,
) -> Result<String, Refusal> {
    let token = Uuid::new_v4().simple().to_string();
    let insert = "insert into auth.refresh_tokens (token, user_id, revoked, created_at, updated_at, parent, session_id) \
                  values ($1, $2::uuid::text, false, now(), now(), $3, $4)";
    transaction.execute(insert, &[&token, &user, &parent, &session]).await?;
    Ok(token)
}

async fn answer(
    transaction: &Transaction<'_>,
    keys: &Keys,
    user: Uuid,
    session: Uuid,
    refresh_token: &str,
) -> Result<Value, Refusal> {
    let shown = users::show(transaction, user).await?.ok_or_else(Refusal::user_not_found)?;
    let since = "select floor(extract(epoch from created_at))::bigint from auth.sessions where id = $1";
    let since: i64 = transaction.query_one(since, &[&session]).await?.get(0);
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({
        "iss": keys.issuer, "sub": user, "aud": shown["aud"], "exp": now + LIFETIME, "iat": now,
        "email": shown["email"], "phone": shown["phone"],
        "app_metadata": shown["app_metadata"], "user_metadata": shown["user_metadata"],
        "role": shown["role"], "aal": "aal1", "amr": [{ "method": "password", "timestamp": since }],
        "session_id": session, "is_anonymous": shown["is_anonymous"],
    });
    let signed = keys.sign(&claims).map_err(|error| Refusal::new(500, "unexpected_failure", error.to_string()))?;
    Ok(json!({
        "access_token": signed, "token_type": "bearer", "expires_in": LIFETIME, "expires_at": now + LIFETIME,
        "refresh_token": refresh_token, "user": shown,
    }))
}
