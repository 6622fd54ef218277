//! One door for the whole project, as Supabase has it: checks the API key, answers CORS, and passes on by prefix.
//!
//! Not responsible for users' tokens: each service judges them for itself. Nor for the name that it is asked by: who serves it takes only this machine's.

mod rest;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

use super::caller::Keys;

/// The services behind the gateway. A service that brings a router sees its paths without the prefix.
pub struct Services {
    /// `http://127.0.0.1:PORT` of PostgREST, for `/rest/v1`.
    pub postgrest: String,
    /// `/auth/v1`
    pub auth: Router,
    /// `/storage/v1`
    pub storage: Router,
    /// `/realtime/v1`
    pub realtime: Router,
}

/// The gateway's routes.
pub fn router(keys: Arc<Keys>, services: Services) -> anyhow::Result<Router> {
    let key_needed = middleware::from_fn_with_state(Arc::clone(&keys), require_key);
    let rest = rest::router(Arc::clone(&keys), services.postgrest)?;
    Ok(Router::new()
        // As a service, so that `/rest/v1/` with nothing behind it, the description of the schema, gets there too.
        .nest_service("/rest/v1", rest.layer(key_needed.clone()))
        .nest("/auth/v1", services.auth.layer(key_needed))
        // Signed and public links, and websockets, come without a header: these two look for themselves.
        .nest("/storage/v1", services.storage)
        .nest("/realtime/v1", services.realtime)
        .fallback(|| async {
            message(StatusCode::NOT_FOUND, json!({ "message": "no Route matched with those values" }))
        })
        .layer(middleware::from_fn(cors)))
}

/// Refuses a request that names none of the project's keys, in a header or in the query. The public signing keys are for all.
async fn require_key(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    if request.uri().path() == "/.well-known/jwks.json" {
        return next.run(request).await;
    }
    let header = request.headers().get("apikey").and_then(|value| value.to_str().ok());
    let query = request.uri().query().unwrap_or_default();
    match header.or_else(|| query.split('&').find_map(|pair| pair.strip_prefix("apikey="))) {
        Some(key) if key == keys.publishable || key == keys.secret => next.run(request).await,
        Some(_) => message(
            StatusCode::UNAUTHORIZED,
            json!({
                "message": "Invalid API key",
                "hint": "Double check your Supabase `anon` or `service_role` API key."
            }),
        ),
        None => message(
            StatusCode::UNAUTHORIZED,
            json!({
                "message": "No API key found in request",
                "hint": "No `apikey` request header or url param was found."
            }),
        ),
    }
}

/// Lets every web page in, and answers a browser's question before the request.
async fn cors(request: Request, next: Next) -> Response {
    let any = HeaderValue::from_static("*");
    if request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let mut answer = StatusCode::OK.into_response();
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"),
        );
        headers.extend(asked.map(|asked| (ACCESS_CONTROL_ALLOW_HEADERS, asked)));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        return answer;
    }
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    // PostgREST names the caller's origin and allows credentials; behind the gateway it is any origin, without.
    headers.remove("access-control-allow-credentials");
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
    headers.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(HeaderValue::from_static("*"));
    answer
}

fn message(status: StatusCode, body: serde_json::Value) -> Response {
    (status, Json(body)).into_response()
}
