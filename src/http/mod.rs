//! The door: an HTTP API for those who can't speak to the project themselves.
//!
//! It holds no key but the publishable one. Every request acts with the caller's own token through the project's API, so row level security decides; the
//! token is judged by PostgREST and Storage, and nothing is made of its claims before one of them has accepted it.
//!
//! Not responsible for the work: a job is a row, and whoever runs `carousel worker` on that project makes it.

mod accepted;
mod answers;
mod events;
mod form;
mod generate;
mod health;
mod jobs;
mod nouns;
mod observe;
mod openapi;
mod pace;
mod picture;
mod places;
mod problem;
mod request;
mod retired;
mod serve;
mod templates;
mod upload;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use health::{Check, Readiness};
pub use serve::serve;

use crate::supabase::Project;
use places::Places;
use problem::Problem;

/// Forms with files that are taken in at once, in all and from one person.
const UPLOADS: (usize, usize) = (64, 8);
/// Jobs that are watched at once, in all and by one person.
const STREAMS: (usize, usize) = (2_000, 50);
/// Bytes of answers that were not read yet, in all and of one person.
const ANSWERS: (usize, usize) = (128 << 20, 16 << 20);
/// Requests under way, in all, which is what there are connections for, and with one token.
const REQUESTS: (usize, usize) = (3_000, 16);

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Origins whose pages may call it from a browser; `*` for all.
    pub origins: Vec<HeaderValue>,
    /// How long a request may take, uploads and events aside.
    pub patience: Duration,
    /// What `/metrics` asks for; nothing when everybody may read it.
    pub metrics_token: Option<SecretString>,
}

/// What handlers share.
#[derive(Clone)]
struct Api {
    project: Project,
    settings: Arc<Settings>,
    readiness: Readiness,
    looked: health::Looked,
    uploads: Places,
    streams: Places,
    answers: Places,
    /// Not by person but by token, of which nobody knows another's.
    requests: Places,
    /// What goes on when its connection has gone.
    tasks: TaskTracker,
    /// Ends what would go on by itself.
    end: CancellationToken,
}

/// The API, and what has to be waited for when it ends.
pub struct Door {
    /// Every route, from the root: `/api/image-generator/...`, `/openapi.json`, `/healthz`, `/readyz`, `/metrics`.
    pub router: Router,
    /// Uploads and events that are under way. They end soon after `end` is cancelled: an upload when it is whole or taken back.
    pub tasks: TaskTracker,
}

/// The API for a project, with the publishable key. Events end when `end` is cancelled.
pub fn door(project: Project, settings: Settings, readiness: Readiness, end: CancellationToken) -> Door {
    // Measured from the start, not from the first look at the numbers.
    crate::telemetry::metrics::recorder();
    let tasks = TaskTracker::new();
    let api = Api {
        project,
        settings: Arc::new(settings),
        readiness,
        looked: health::Looked::default(),
        uploads: Places::new(UPLOADS.0, UPLOADS.1),
        streams: Places::new(STREAMS.0, STREAMS.1),
        answers: Places::new(ANSWERS.0, ANSWERS.1),
        requests: Places::new(REQUESTS.0, REQUESTS.1),
        tasks: tasks.clone(),
        end,
    };
    let in_time = middleware::from_fn_with_state(api.clone(), in_time);
    let timed = OpenApiRouter::new()
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show, jobs::delete))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(templates::list, templates::create))
        .routes(routes!(templates::show, templates::change, templates::delete))
        .routes(routes!(templates::reuse))
        .routes(routes!(retired::generate))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .route_layer(in_time);
    let (router, description) = OpenApiRouter::with_openapi(openapi::Description::openapi())
        .merge(timed)
        // Their bodies come and go for longer, each with limits of its own.
        .routes(routes!(generate::generate))
        .routes(routes!(events::events))
        .split_for_parts();
    let description = body::Bytes::from(description.to_json().unwrap_or_default());
    let describe = get(|| async move { ([(CONTENT_TYPE, "application/json")], description) });
    let router = router
        .route("/openapi.json", describe)
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(api.clone(), answers::bound))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new())
        .layer(cors(&api.settings.origins))
        .layer(middleware::from_fn(keep_nowhere))
        .layer(middleware::from_fn(observe::observe))
        .with_state(api);
    Door { router, tasks }
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "there is such a thing, but not this method")
}

/// Answers in time, whatever the project does.
async fn in_time(State(api): State<Api>, request: Request, next: Next) -> Response {
    // A body has so long by itself; then there is as much for the answer.
    match tokio::time::timeout(api.settings.patience * 2, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "project_unavailable", "the project did not answer in time")
                .into_response()
        }
    }
}

/// An answer is one person's, and may have addresses in it that are as good as keys: no cache keeps it, and nothing takes it for a page.
async fn keep_nowhere(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A panic's words are for the log only.
fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let words = cause.downcast_ref::<&str>().copied().or(cause.downcast_ref::<String>().map(String::as_str));
    tracing::error!(cause = words.unwrap_or("unknown"), "a request's handler panicked");
    Problem::internal().into_response()
}

/// Lets pages of these origins call from a browser. Tokens come in a header, never in a cookie, so no credentials are allowed for.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let origins = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().cloned()),
    };
    let named = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            named("idempotency-key"),
            named("last-event-id"),
            named("x-request-id"),
        ])
        .expose_headers([
            LOCATION,
            LINK,
            RETRY_AFTER,
            named("idempotency-replayed"),
            named("x-request-id"),
            named("deprecation"),
            named("sunset"),
        ])
        .max_age(Duration::from_secs(3600))
}
