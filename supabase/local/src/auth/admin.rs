//! `/admin/users`: what the secret key may do with users.

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Json, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::refusal::Refusal;
use super::users::{self, Changes, NewUser, SHOWN};
use super::{Auth, parsed};

/// Proof that the request came with the secret key.
pub(super) struct Admin;

impl FromRequestParts<Auth> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, auth: &Auth) -> Result<Self, Refusal> {
        let caller = auth.keys.caller(&parts.headers);
        match caller.map_err(|refused| Refusal::new(401, "no_authorization", refused.message))?.role.as_str() {
            "service_role" => Ok(Self),
            _ => Err(Refusal::new(403, "not_admin", "User not allowed")),
        }
    }
}

#[derive(Deserialize)]
struct Create {
    #[serde(default)]
    email: String,
    password: Option<String>,
    #[serde(default)]
    email_confirm: bool,
    user_metadata: Option<Value>,
    app_metadata: Option<Value>,
}

pub(super) async fn create(_: Admin, State(auth): State<Auth>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let wanted: Create = parsed(&body)?;
    if wanted.email.is_empty() {
        return Err(Refusal::new(400, "validation_failed", "Cannot create a user without either an email or phone"));
    }
    // Without a password nobody can sign in, which is what the real server gives as well.
    let password = wanted.password.unwrap_or_else(|| Uuid::new_v4().to_string());
    users::checked_password(&password)?;
    let user = NewUser {
        email: wanted.email,
        password,
        confirmed: wanted.email_confirm,
        user_metadata: users::merged(json!({ "email_verified": wanted.email_confirm }), wanted.user_metadata.into()),
        app_metadata: wanted.app_metadata.into(),
    };
    let mut client = auth.pool.get().await?;
    let transaction = client.transaction().await?;
    let taken = Refusal::new(422, "email_exists", "A user with this email address has already been registered");
    let id = user.insert(&transaction, taken).await?;
    let shown = users::show(&transaction, id).await?.ok_or_else(Refusal::user_not_found)?;
    transaction.commit().await?;
    Ok(Json(shown))
}

#[derive(Deserialize)]
pub(super) struct Page {
    // Clients that ask for no page send these empty.
    #[serde(default)]
    page: String,
    #[serde(default)]
    per_page: String,
}

pub(super) async fn list(_: Admin, State(auth): State<Auth>, Query(page): Query<Page>) -> Result<Response, Refusal> {
    let size = page.per_page.parse().unwrap_or(50_i64).max(1);
    let offset = (page.page.parse().unwrap_or(1_i64).max(1) - 1).saturating_mul(size);
    let query = format!(
        "select coalesce((select jsonb_agg(shown) from (select {SHOWN} as shown from auth.users u \
         order by u.created_at desc, u.id limit $1 offset $2) page), '[]'), (select count(*) from auth.users)"
    );
    let row = auth.pool.get().await?.query_one(&query, &[&size, &offset]).await?;
    let body = json!({ "users": row.get::<_, Value>(0), "aud": "authenticated" });
    Ok(([("x-total-count", row.get::<_, i64>(1).to_string())], Json(body)).into_response())
}

pub(super) async fn get(_: Admin, State(auth): State<Auth>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let shown = users::show(&auth.pool.get().await?, user_id(&id)?).await?;
    shown.map(Json).ok_or_else(Refusal::user_not_found)
}

pub(super) async fn update(
    _: Admin,
    State(auth): State<Auth>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let (id, changes) = (user_id(&id)?, parsed::<Changes>(&body)?);
    auth.change(id, changes).await?.map(Json).ok_or_else(Refusal::user_not_found)
}

pub(super) async fn delete(_: Admin, State(auth): State<Auth>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let deleted = auth.pool.get().await?.execute("delete from auth.users where id = $1", &[&user_id(&id)?]).await?;
    if deleted == 0 { Err(Refusal::user_not_found()) } else { Ok(Json(json!({}))) }
}

fn user_id(text: &str) -> Result<Uuid, Refusal> {
    text.parse().map_err(|_| Refusal::new(404, "validation_failed", "user_id must be an UUID"))
}
