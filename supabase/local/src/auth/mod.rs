//! Stand-in for Supabase Auth: sign-up, password sign-in, refresh, user, sign-out, and users for the secret key.
//!
//! It writes the real tables in schema `auth`, so that foreign keys and triggers of a project work. Sign-ups are confirmed at once and
//! no mail is sent. Not there: other providers, one-time codes, factors, rate limits.

mod admin;
mod refusal;
mod session;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware;
use axum::response::Json;
use axum::routing::{get, post};
use deadpool_postgres::Pool;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use self::refusal::Refusal;
use self::session::{Refreshed, Scope};
use self::users::{Changes, NewUser};
use super::caller::Keys;

/// What the routes need.
#[derive(Clone)]
pub struct Auth {
    pool: Pool,
    keys: Arc<Keys>,
}

impl Auth {
    /// `pool` connects as `supabase_auth_admin`.
    pub fn new(pool: Pool, keys: Arc<Keys>) -> Self {
        Self { pool, keys }
    }

    async fn change(&self, id: Uuid, changes: Changes) -> Result<Option<Value>, Refusal> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        changes.apply(&transaction, id).await?;
        let shown = users::show(&transaction, id).await?;
        transaction.commit().await?;
        Ok(shown)
    }
}

/// Routes of `/auth/v1`, without that prefix.
pub fn router(auth: Auth) -> Router {
    Router::new()
        .route("/signup", post(sign_up))
        .route("/token", post(token))
        .route("/user", get(user).put(update_user))
        .route("/logout", post(log_out))
        .route("/admin/users", get(admin::list).post(admin::create))
        .route("/admin/users/{id}", get(admin::get).put(admin::update).delete(admin::delete))
        .route("/.well-known/jwks.json", get(|State(auth): State<Auth>| async move { Json(auth.keys.jwks()) }))
        .route(
            "/health",
            get(|| async { Json(json!({ "name": "GoTrue", "description": "carousel's stand-in", "version": "v2" })) }),
        )
        .route("/settings", get(|| async { Json(settings()) }))
        .layer(middleware::from_fn(refusal::render))
        .with_state(auth)
}

/// A signed-in user whose session is still there.
struct SignedIn {
    user: Uuid,
    session: Uuid,
}

impl FromRequestParts<Auth> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, auth: &Auth) -> Result<Self, Refusal> {
        let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.split_once(' ')).map(|(_, token)| token.trim());
        let missing = || Refusal::new(401, "no_authorization", "This endpoint requires a valid Bearer token");
        let caller = auth.keys.verify(token.ok_or_else(missing)?);
        let claims = caller.map_err(|refused| Refusal::new(403, "bad_jwt", refused.message))?.claims;
        let id = |claim: &str| claims[claim].as_str().and_then(|text| text.parse::<Uuid>().ok());
        let (Some(user), Some(session)) = (id("sub"), id("session_id")) else {
            return Err(Refusal::new(403, "bad_jwt", "invalid claim: missing sub claim"));
        };
        let query = "select exists (select from auth.users where id = $1), \
                     exists (select from auth.sessions where id = $2 and user_id = $1)";
        let row = auth.pool.get().await?.query_one(query, &[&user, &session]).await?;
        if !row.get::<_, bool>(0) {
            return Err(Refusal::new(403, "user_not_found", "User from sub claim in JWT does not exist"));
        }
        if !row.get::<_, bool>(1) {
            return Err(Refusal::new(403, "session_not_found", "Session from session_id claim in JWT does not exist"));
        }
        Ok(Self { user, session })
    }
}

#[derive(Deserialize)]
struct SignUp {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    data: Option<Value>,
}

async fn sign_up(State(auth): State<Auth>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let wanted: SignUp = parsed(&body)?;
    if wanted.email.is_empty() {
        return Err(Refusal::new(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled"));
    }
    if wanted.password.is_empty() {
        return Err(Refusal::new(400, "validation_failed", "Signup requires a valid password"));
    }
    users::checked_password(&wanted.password)?;
    let verified =
        json!({ "email": wanted.email.trim().to_lowercase(), "email_verified": true, "phone_verified": false });
    let user = NewUser {
        user_metadata: users::merged(wanted.data.filter(Value::is_object).unwrap_or_else(|| json!({})), verified),
        email: wanted.email,
        password: wanted.password,
        confirmed: true,
        app_metadata: Value::Null,
    };
    let mut client = auth.pool.get().await?;
    let transaction = client.transaction().await?;
    let taken = Refusal::new(422, "user_already_exists", "User already registered");
    let id = user.insert(&transaction, taken).await?;
    let session = session::start(&transaction, &auth.keys, id).await?;
    transaction.commit().await?;
    Ok(Json(session))
}

#[derive(Deserialize)]
struct Grant {
    grant_type: Option<String>,
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    refresh_token: String,
}

async fn token(State(auth): State<Auth>, Query(grant): Query<Grant>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let given: Credentials = parsed(&body)?;
    let mut client = auth.pool.get().await?;
    let transaction = client.transaction().await?;
    let answer = match grant.grant_type.as_deref() {
        Some("password") => {
            let user = users::with_password(&transaction, &given.email, &given.password).await?;
            Ok(session::start(&transaction, &auth.keys, user).await?)
        }
        Some("refresh_token") => match session::refresh(&transaction, &auth.keys, &given.refresh_token).await? {
            Refreshed::Session(session) => Ok(session),
            Refreshed::Reused => {
                let words = "Invalid Refresh Token: Already Used";
                Err(Refusal::new(400, "refresh_token_already_used", words))
            }
        },
        _ => return Err(Refusal::new(400, "invalid_credentials", "unsupported_grant_type")),
    };
    transaction.commit().await?;
    answer.map(Json)
}

async fn user(caller: SignedIn, State(auth): State<Auth>) -> Result<Json<Value>, Refusal> {
    let shown = users::show(&auth.pool.get().await?, caller.user).await?;
    shown.map(Json).ok_or_else(Refusal::user_not_found)
}

async fn update_user(caller: SignedIn, State(auth): State<Auth>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let shown = auth.change(caller.user, parsed(&body)?).await?;
    shown.map(Json).ok_or_else(Refusal::user_not_found)
}

#[derive(Deserialize)]
struct LogOut {
    #[serde(default)]
    scope: Scope,
}

async fn log_out(
    caller: SignedIn,
    State(auth): State<Auth>,
    Query(asked): Query<LogOut>,
) -> Result<StatusCode, Refusal> {
    let mut client = auth.pool.get().await?;
    let transaction = client.transaction().await?;
    session::end(&transaction, caller.user, caller.session, asked.scope).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, "bad_json", format!("Could not parse request body as JSON: {error}")))
}

fn settings() -> Value {
    json!({
        "external": { "email": true, "phone": false, "anonymous_users": false },
        "disable_signup": false, "mailer_autoconfirm": true, "phone_autoconfirm": false, "sms_provider": "",
        "mfa_enabled": false, "saml_enabled": false,
    })
}
