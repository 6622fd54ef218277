//! Supabase Storage for one machine: bytes as files, rows in `storage.objects`, and the project's policies as the judge.
//!
//! Each request acts in the database under its caller's role, so a policy that is missing or wrong shows here as it would on a
//! hosted project. A file is never named after what a client wrote: each version of an object has a name of its own, and only
//! its row says where it belongs.
//!
//! Not here: resumable uploads, image transformations, the S3 protocol, `list-v2`, and the limit for a whole project (only a
//! bucket's own limits hold). An ETag is a SHA-256, not an MD5.

mod buckets;
mod copy;
mod download;
pub mod faults;
mod files;
mod list;
mod names;
mod refusal;
mod remove;
mod rows;
mod sign;
mod upload;

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{any, delete, get, post, put};
use deadpool_postgres::{Object as Connection, Pool, Transaction};

use super::caller::{Caller, Keys};
use super::database::as_caller;
use faults::Faults;
use files::Files;
use refusal::Refusal;

/// A Storage server: the database with its rows, a folder with its bytes, and the keys that say who calls. Clones share all.
#[derive(Clone)]
pub struct Storage {
    pool: Pool,
    keys: Arc<Keys>,
    files: Files,
    faults: Faults,
}

impl Storage {
    /// A server that keeps its bytes under `root` (made when it is missing). `pool` connects as a superuser to a database with
    /// `bootstrap/storage.sql` in it. What a broken upload left behind in `root` is swept away.
    ///
    /// # Errors
    /// When the folder can't be made or written to.
    pub fn new(pool: Pool, keys: Arc<Keys>, root: &Path) -> io::Result<Self> {
        Ok(Self { pool, keys, files: Files::new(root)?, faults: Faults::default() })
    }

    /// The switch with which tests make this server fail.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Who calls. As on a hosted project, the gateway puts the role of an API key where no token of a person stands, and Storage then
    /// knows tokens only: an API key that the gateway doesn't know is to it a token that can't be read.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let apikey = text("apikey");
        let authorization = text(header::AUTHORIZATION.as_str()).map(|value| {
            // The word is not asked for.
            let scheme = value.split_once(char::is_whitespace).filter(|(word, _)| word.eq_ignore_ascii_case("bearer"));
            scheme.map_or(value, |(_, token)| token.trim())
        });
        let token = match authorization.filter(|token| !token.starts_with("sb_")) {
            Some(token) => return self.keys.verify(token).map_err(sign::refused_token),
            None => apikey.or(authorization),
        };
        let missing = || Refusal::Invalid("headers must have required property 'authorization'".to_owned());
        self.keys.resolve(apikey, None).map_err(|_| match token {
            None => missing(),
            Some(_) => Refusal::Denied("Invalid Compact JWS".to_owned()),
        })
    }

    async fn connection(&self) -> Result<Connection, Refusal> {
        Ok(self.pool.get().await?)
    }
}

/// A transaction under the role of `caller`, or of the server itself, which no policy holds back. What is deleted in it is
/// deleted by the Storage server, so the trigger on the tables lets it pass.
async fn begin<'a>(connection: &'a mut Connection, caller: Option<&Caller>) -> Result<Transaction<'a>, Refusal> {
    let transaction = connection.transaction().await?;
    transaction.execute("select set_config('storage.allow_delete_query', 'true', true)", &[]).await?;
    if let Some(caller) = caller {
        as_caller(&transaction, caller).await?;
    }
    Ok(transaction)
}

/// The routes of `storage`, relative to `/storage/v1`.
pub fn router(storage: Storage) -> Router {
    let faults = storage.faults.clone();
    Router::new()
        .route("/bucket", get(buckets::list).post(buckets::create))
        .route("/bucket/{bucket}", get(buckets::get).put(buckets::update).delete(buckets::delete))
        .route("/bucket/{bucket}/empty", post(buckets::empty))
        .route("/object/list/{bucket}", post(list::list))
        .route("/object/list-v2/{bucket}", any(unknown_route))
        .route("/object/move", post(copy::move_object))
        .route("/object/copy", post(copy::copy_object))
        .route("/object/sign/{bucket}", post(sign::sign_many))
        .route("/object/sign/{bucket}/{*name}", get(download::signed).post(sign::sign_one))
        .route("/object/upload/sign/{bucket}/{*name}", put(upload::signed).post(sign::sign_upload))
        .route("/object/public/{bucket}/{*name}", get(download::public))
        .route("/object/authenticated/{bucket}/{*name}", get(download::authenticated))
        .route("/object/info/public/{bucket}/{*name}", get(download::info_public))
        .route("/object/info/authenticated/{bucket}/{*name}", get(download::info_authenticated))
        .route("/object/info/{bucket}/{*name}", get(download::info))
        .route("/object/{bucket}", delete(remove::many))
        .route(
            "/object/{bucket}/{*name}",
            get(download::plain).post(upload::create).put(upload::replace).delete(remove::one),
        )
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_route)
        // A list of paths to remove or to sign may be long; uploads count their own bytes.
        .layer(DefaultBodyLimit::max(8 << 20))
        .layer(from_fn_with_state(faults, faults::inject))
        .with_state(storage)
}

/// What the real server has besides, and what does here in its place.
const NOT_HERE: [(&str, &str); 4] = [
    ("/upload/resumable", "resumable uploads (TUS); send the whole file to POST /object/{bucket}/{path}"),
    ("/s3", "S3 protocol; use /object and /bucket"),
    ("/render/image", "image transformations; GET /object/... gives the image as it is"),
    ("/object/list-v2", "list-v2; use POST /object/list/{bucket}"),
];

async fn unknown_route(method: Method, uri: Uri) -> Refusal {
    let is_below =
        |place: &str| uri.path().strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some((_, what)) = NOT_HERE.iter().find(|(place, _)| is_below(place)) {
        return Refusal::NotHere(format!("not here: the local Storage has no {what}"));
    }
    Refusal::NoRoute(format!("Route {method}:{} not found", uri.path()))
}
