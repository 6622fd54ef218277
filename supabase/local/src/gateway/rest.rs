//! `/rest/v1`: passes requests on to PostgREST, streaming both ways, with a token it understands.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::message;
use crate::caller::{Keys, Refused};

/// How `extensions.safeupdate()` hears of a request without a filter.
const WITHOUT_FILTER: HeaderName = HeaderName::from_static("x-without-filter");

#[derive(Clone)]
struct Rest {
    keys: Arc<Keys>,
    upstream: String,
    client: reqwest::Client,
}

/// Routes of `/rest/v1`, without the prefix. `upstream` is PostgREST's own address.
pub(super) fn router(keys: Arc<Keys>, upstream: String) -> anyhow::Result<Router> {
    let client = crate::postgrest::client().build()?;
    Ok(Router::new().fallback(pass_on).with_state(Rest { keys, upstream, client }))
}

async fn pass_on(State(rest): State<Rest>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let query = parts.uri.query().unwrap_or_default();
    if let Err(refused) = authorize(&rest.keys, &mut headers, query) {
        return message(refused.status, json!({ "message": refused.message }));
    }
    drop_hop_by_hop(&mut headers);
    headers.remove(WITHOUT_FILTER);
    if let Some(verb) = without_filter(&parts.method, parts.uri.path(), query) {
        headers.insert(WITHOUT_FILTER, HeaderValue::from_static(verb));
    }
    if parts.method == Method::HEAD {
        // PostgREST resets a connection some time after such an answer, and the next request on it would be lost.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // PostgREST would take the key for a filter on a column of that name.
    let filters: Vec<_> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("apikey=")).collect();
    let url = format!("{}{}?{}", rest.upstream, parts.uri.path(), filters.join("&"));
    let mut upstream = rest.client.request(parts.method, url.trim_end_matches('?')).headers(headers);
    if body.size_hint().exact() != Some(0) {
        upstream = upstream.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match upstream.send().await {
        Ok(answer) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            drop_hop_by_hop(response.headers_mut());
            // A HEAD answer tells the length of a body that it doesn't have.
            response
                .headers_mut()
                .extend(answer.headers().get(CONTENT_LENGTH).map(|length| (CONTENT_LENGTH, length.clone())));
            *response.body_mut() = Body::from_stream(answer.bytes_stream());
            response
        }
        Err(error) => {
            tracing::warn!(%error, "PostgREST didn't answer");
            let words = "An invalid response was received from the upstream server";
            message(StatusCode::BAD_GATEWAY, json!({ "message": words }))
        }
    }
}

/// The statement that PostgREST would make of a request without a WHERE clause, if it is one that pg_safeupdate refuses.
fn without_filter(method: &Method, path: &str, query: &str) -> Option<&'static str> {
    let verb = match *method {
        Method::DELETE => "DELETE",
        Method::PATCH => "UPDATE",
        _ => return None,
    };
    // A name with a dot is a filter on an embedded table, which narrows nothing.
    let narrows = |name: &str| {
        let other = ["apikey", "columns", "limit", "offset", "on_conflict", "order", "select"].contains(&name);
        !other && (!name.contains('.') || name.starts_with("not."))
    };
    let is_table = path.trim_matches('/').split('/').count() == 1;
    let filtered = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| narrows(&name));
    (is_table && !filtered).then_some(verb)
}

/// Leaves a user's token as it is, for PostgREST to judge, and puts a token in the place of an API key.
fn authorize(keys: &Keys, headers: &mut HeaderMap, query: &str) -> Result<(), Refused> {
    let in_query = query.split('&').find_map(|pair| pair.strip_prefix("apikey=")).map(str::to_owned);
    let apikey = headers.remove("apikey").and_then(|value| value.to_str().ok().map(str::to_owned)).or(in_query);
    // Without a scheme it is no token for PostgREST, which takes its bearer for nobody: that is left to it, too.
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::trim);
    let token = bearer.map(|value| value.split_once(' ').map_or(value, |(_, token)| token.trim()));
    if token.is_some_and(|token| token != keys.publishable && token != keys.secret) {
        return Ok(());
    }
    let caller = keys.resolve(apikey.as_deref(), None)?;
    let value = HeaderValue::try_from(format!("Bearer {}", caller.token)).expect("a token is plain ASCII");
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// Removes what concerns one connection only. Lengths go too: a streamed body is sent in chunks.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let names = [
        CONNECTION,
        CONTENT_LENGTH,
        HOST,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in names.into_iter().chain([HeaderName::from_static("keep-alive")]) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_filter_on_the_table_itself_makes_a_where_clause() {
        let delete = |query: &str| without_filter(&Method::DELETE, "/notes", query);
        for bare in [
            "",
            "select=id&apikey=sb_a",
            "order=id&limit=1&offset=0",
            "select=*,parts(*)&parts.id=eq.1",
            "columns=body",
        ] {
            assert_eq!(delete(bare), Some("DELETE"), "{bare}");
        }
        for narrowed in
            ["id=eq.1", "select=id&id=eq.1", "or=(id.eq.1,id.eq.2)", "not.and=(id.eq.1)", "not%2Eor=(id.eq.1)"]
        {
            assert_eq!(delete(narrowed), None, "{narrowed}");
        }
        assert_eq!(without_filter(&Method::PATCH, "/notes", ""), Some("UPDATE"));
        assert_eq!(without_filter(&Method::PUT, "/notes", ""), None);
        assert_eq!(without_filter(&Method::DELETE, "/rpc/forget", ""), None);
    }
}
