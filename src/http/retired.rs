//! `POST /api/image-generator/generate`, the old endpoint: gone, with the same request in the new form.

use axum::extract::{Request, State};
use axum::http::header::{HeaderName, LINK};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::Api;
use super::problem::{PROBLEM, Problem};
use super::request::{content_type, whole};

/// Since when the old endpoint is deprecated, and since when it is gone: 22 November 2026.
const DEPRECATION: &str = "@1795305600";
const SUNSET: &str = "Sun, 22 Nov 2026 00:00:00 GMT";
const SUCCESSOR: &str = "/api/image-generator/generate-v2";
/// A larger body is not translated, nor read. Nobody has to be anybody here.
const MAX_TRANSLATED: usize = 64 << 10;

/// The old name of a field, and what it is called now. Names are compared without case and underscores.
const RENAMED: [(&str, &str); 27] = [
    ("prompt", "prompt"),
    ("title", "title"),
    ("templateid", "template_id"),
    ("sourcepaths", "source_paths"),
    ("sources", "source_paths"),
    ("sourceimages", "source_paths"),
    ("images", "source_paths"),
    ("imageurls", "source_paths"),
    ("image", "source_paths"),
    ("sourceimage", "source_paths"),
    ("slideprompts", "slide_prompts"),
    ("slides", "slide_prompts"),
    ("captions", "slide_prompts"),
    ("slidesfrom", "slides_from"),
    ("aspectratios", "aspect_ratios"),
    ("aspectratio", "aspect_ratios"),
    ("ratio", "aspect_ratios"),
    ("ratios", "aspect_ratios"),
    ("variants", "variants"),
    ("numvariants", "variants"),
    ("variantcount", "variants"),
    ("count", "variants"),
    ("n", "variants"),
    ("style", "style"),
    ("model", "model"),
    ("quality", "quality"),
    ("outputformat", "output_format"),
];

/// A problem document that shows what to send instead.
#[derive(Serialize, ToSchema)]
pub(super) struct Retired {
    #[serde(flatten)]
    problem: Problem,
    /// The request in its new form.
    successor: Successor,
}

/// A request in its new form.
#[derive(Serialize, ToSchema)]
struct Successor {
    method: &'static str,
    path: &'static str,
    #[schema(value_type = Object)]
    headers: Value,
    /// What was sent, under its new names; an example when nothing of it was understood.
    #[schema(value_type = Object)]
    body: Value,
}

/// Gone: use generate-v2
#[utoipa::path(post, path = "/api/image-generator/generate", tag = "Jobs",
    request_body(content = Object, description = "The old request, to be shown in its new form."),
    responses((status = 410, description = "It is gone. The body shows the same request in its new form.", body = Retired, content_type = PROBLEM,
        headers(("deprecation" = String, description = "Since when (RFC 9745)."), ("sunset" = String, description = "Since when it is gone (RFC 8594)."),
            ("link" = String, description = "The successor.")))))]
pub(super) async fn generate(State(api): State<Api>, request: Request) -> Response {
    let json = content_type(request.headers()) == "application/json";
    let body = whole(request, &api, MAX_TRANSLATED, None).await.unwrap_or_default();
    let old = match json {
        true => serde_json::from_slice(&body).unwrap_or_default(),
        false => Value::Null,
    };
    let problem = Problem::new(StatusCode::GONE, "endpoint_retired", format!("this endpoint is gone: use {SUCCESSOR}"))
        .hint(
            "Upload the photos to {user id}/sources/ and name their paths, or send them as parts `files` of a form. \
         The answer is 202 with a job: watch it by its events, or by Realtime.",
        );
    let headers = json!({
        "Authorization": "Bearer {access token}", "Content-Type": "application/json", "Idempotency-Key": "{a text of your own}",
    });
    let successor = Successor { method: "POST", path: SUCCESSOR, headers, body: translated(&old) };
    let retired = serde_json::to_vec(&Retired { problem, successor }).unwrap_or_default();
    let link = format!("<{SUCCESSOR}>; rel=\"successor-version\"");
    let headers = [
        (HeaderName::from_static("content-type"), HeaderValue::from_static(PROBLEM)),
        (HeaderName::from_static("deprecation"), HeaderValue::from_static(DEPRECATION)),
        (HeaderName::from_static("sunset"), HeaderValue::from_static(SUNSET)),
        (LINK, HeaderValue::try_from(link).unwrap_or(HeaderValue::from_static(SUCCESSOR))),
    ];
    (StatusCode::GONE, headers, retired).into_response()
}

/// The old body under its new names.
fn translated(old: &Value) -> Value {
    let mut new = Map::new();
    for (name, value) in old.as_object().into_iter().flatten() {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
        let Some((_, name)) = RENAMED.iter().find(|(old, _)| *old == plain) else { continue };
        let value = match *name {
            "source_paths" => list(value).into_iter().map(path).collect(),
            "slide_prompts" | "aspect_ratios" => Value::Array(list(value)),
            _ => value.clone(),
        };
        new.insert((*name).to_owned(), value);
    }
    if new.is_empty() {
        return json!({
            "prompt": "One calm travel story", "source_paths": ["{user id}/sources/photo.jpg"], "aspect_ratios": ["1:1", "4:5"], "variants": 2,
        });
    }
    if !new.contains_key("template_id") {
        new.entry("source_paths").or_insert_with(|| json!(["{user id}/sources/photo.jpg"]));
    }
    Value::Object(new)
}

/// One value where there may be several now.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    }
}

/// A path in the bucket stays; an address or the picture itself has to be uploaded first.
fn path(source: Value) -> Value {
    match source.as_str() {
        Some(path) if path.contains("/sources/") && !path.contains(':') => source,
        _ => "{user id}/sources/photo.jpg".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_are_the_same_day() {
        let sunset = httpdate::parse_http_date(SUNSET).unwrap();
        let since = sunset.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(DEPRECATION, format!("@{since}"));
    }

    #[test]
    fn an_old_request_is_shown_under_its_new_names() {
        let old = json!({
            "prompt": "A cup", "imageUrls": ["https://example.com/a.png", "u/sources/b.png"], "aspectRatio": "4:5", "numVariants": 3, "webhook": "x",
        });
        let new = json!({
            "prompt": "A cup", "source_paths": ["{user id}/sources/photo.jpg", "u/sources/b.png"], "aspect_ratios": ["4:5"], "variants": 3,
        });
        assert_eq!(translated(&old), new);
        let one = json!({ "sourceImage": "u/sources/b.png", "aspect_ratio": "auto", "slidesFrom": "sources" });
        let new = json!({ "source_paths": ["u/sources/b.png"], "aspect_ratios": ["auto"], "slides_from": "sources" });
        assert_eq!(translated(&one), new);
        assert_eq!(translated(&json!(["x"]))["variants"], 2);
    }
}
