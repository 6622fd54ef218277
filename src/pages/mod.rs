//! A reference frontend: plain pages on supabase-js without a build step, doing only what any frontend of the project can do.
//!
//! This hands out files and where the project is. All else goes from the browser to the project, with the person's own token. Not responsible for the origin
//! that the pages are served at.

use std::path::{Path, PathBuf};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path as Segment, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY};
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Request, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::get;
use serde::Serialize;
use url::Url;

use carousel_local::install::Packages;

/// Files under `/image-generator/assets`, and the pages themselves.
macro_rules! files {
    ($($name:literal)*) => { &[$(($name, include_str!($name))),*] };
}

/// Each file of this folder that a browser may ask for.
const FILES: &[(&str, &str)] = files! {
    "create.html" "create.js" "job.html" "job.js" "jobs.html" "jobs.js" "templates.html" "templates.js"
    "form/estimate.js" "form/fields.js" "form/slides.js" "form/sources.js" "form/style.js" "form/variables.js"
    "project/client.js" "project/live.js" "project/refusal.js" "project/rows.js" "project/session.js" "project/signed.js" "project/upload.js"
    "show/announce.js" "show/carousels.js" "show/dialog.js" "show/download.js" "show/element.js" "show/frame.js" "show/lightbox.js" "show/picture.js" "show/template.js"
    "show/words.js"
    "style/base.css" "style/create.css" "style/job.css" "style/jobs.css" "style/parts.css" "style/templates.css"
};

/// What npm brings for the browser: the name in `/image-generator/npm`, and the file below `node_modules`.
const MODULES: [(&str, &str); 3] = [
    ("supabase.js", "@supabase/supabase-js/dist/umd/supabase.js"),
    ("client-zip.js", "client-zip/index.js"),
    ("thumbhash.js", "thumbhash/thumbhash.js"),
];

/// What the pages need to know.
pub struct Settings {
    /// Address of the project.
    pub url: String,
    /// Key for browsers.
    pub publishable_key: String,
    /// Model and quality of jobs that name none, for the estimate of what a job costs.
    pub model: String,
    /// See `model`.
    pub quality: String,
    /// Offered at the sign-in; only for a project on this machine.
    pub demo: Option<Demo>,
    /// What [`install`] answered.
    pub packages: PathBuf,
}

/// A user whom everybody may be.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Demo {
    /// Whom to sign in as.
    pub email: &'static str,
    /// With what.
    pub password: &'static str,
}

/// `/image-generator/config.json`
#[derive(Clone, Serialize)]
struct Config {
    url: String,
    publishable_key: String,
    model: String,
    quality: String,
    demo: Option<Demo>,
}

/// Installs what the pages take from npm, unless it is there, and answers its folder.
///
/// # Errors
/// When npm is missing or can't be reached.
pub async fn install(home: &Path, report: impl Fn(&str)) -> anyhow::Result<PathBuf> {
    let packages = Packages {
        name: "pages",
        contents: "supabase-js for the pages (about 10 MB)",
        package: include_str!("package.json"),
        lock: include_str!("package-lock.json"),
    };
    packages.ensure(home, |_| Ok(()), &report).await
}

/// The pages under `/image-generator`, and a way there from `/`.
///
/// # Errors
/// When the project's address is none.
pub fn router(settings: Settings) -> anyhow::Result<Router> {
    let policy = HeaderValue::try_from(policy(&settings.url)?)?;
    let Settings { url, publishable_key, model, quality, demo, packages } = settings;
    let config = Config { url, publishable_key, model, quality, demo };
    let page = |name: &'static str| get(move || async move { file(name) });
    Ok(Router::new()
        .route("/", get(|| async { Redirect::temporary("/image-generator") }))
        .route("/image-generator", page("create.html"))
        .route("/image-generator/", get(|| async { Redirect::temporary("/image-generator") }))
        .route("/image-generator/jobs", page("jobs.html"))
        .route("/image-generator/jobs/{id}", page("job.html"))
        .route("/image-generator/templates", page("templates.html"))
        .route("/image-generator/config.json", get(move || async move { Json(config.clone()) }))
        .route("/image-generator/assets/{*name}", get(|Segment(name): Segment<String>| async move { file(&name) }))
        .route("/image-generator/npm/{name}", get(module))
        .with_state(packages)
        .layer(middleware::from_fn(move |request, next| guard(policy.clone(), request, next))))
}

/// One of the files.
fn file(name: &str) -> Response {
    let Some((name, text)) = FILES.iter().find(|(known, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    };
    ([(CONTENT_TYPE, kind)], *text).into_response()
}

/// One of npm's files.
async fn module(State(packages): State<PathBuf>, Segment(name): Segment<String>) -> Response {
    let Some((_, path)) = MODULES.iter().find(|(known, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let path = packages.join("node_modules").join(path);
    match tokio::fs::read(&path).await {
        Ok(text) => ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "a module of the pages can't be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What a page may load and do: its own files, and the project. No script but ours runs, and no text becomes markup.
fn policy(project: &str) -> anyhow::Result<String> {
    let url = Url::parse(project).with_context(|| format!("{project} is no address"))?;
    let project = url.origin().ascii_serialization();
    let socket = project.replacen("http", "ws", 1);
    Ok(format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {project} {socket}; \
         img-src 'self' blob: data: {project}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    ))
}

async fn guard(policy: HeaderValue, request: Request<axum::body::Body>, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // The next start may be another version, with another project.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests;
