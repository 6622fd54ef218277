//! The endpoints: who may call, and in which order a call is checked, refused, billed and answered.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::call::Call;
use super::edit::Edit;
use super::error::{ApiError, RetryAfter};
use super::fault::Fault;
use super::form::Form;
use super::generate::{Generation, reset};
use super::model::Size;
use super::{OpenAi, model};

/// The service, with paths from the root: `/v1/images/edits`, `/v1/models`.
pub fn router(openai: OpenAi) -> Router {
    Router::new()
        .route("/v1/images/edits", post(edits))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(one_model))
        .route("/generated/{name}", get(generated))
        .fallback(unknown_url)
        .method_not_allowed_fallback(wrong_method)
        .with_state(openai)
}

async fn edits(State(openai): State<OpenAi>, request: Request) -> Response {
    let started = Instant::now();
    let request_id = format!("req_{}", uuid::Uuid::new_v4().simple());
    let answer = openai.edit(request, &request_id).await;
    stamped(answer.unwrap_or_else(IntoResponse::into_response), &request_id, started.elapsed())
}

impl OpenAi {
    async fn edit(&self, request: Request, request_id: &str) -> Result<Response, ApiError> {
        let service = &self.0;
        let (parts, body) = request.into_parts();
        let form = Form::read(&parts.headers, body).await;
        self.admit(&parts.headers)?;
        let mut form = form?;

        let mut headers = parts.headers;
        headers.remove(header::AUTHORIZATION);
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let origin = format!("http://{host}");
        let call = service.log.enter(Call {
            request_id: request_id.to_owned(),
            headers,
            fields: form.texts.iter().cloned().collect(),
            images: form.images.iter().map(|image| image.received.clone()).collect(),
        });

        let edit = Edit::check(&form, OffsetDateTime::now_utc().date())?;
        let fault = service.faults.take(&edit.prompt);
        match fault {
            Some(Fault::Refused(error)) => return Err(error),
            Some(Fault::HtmlPage(status)) => return Ok(html_page(status)),
            Some(Fault::Redirect) => return Ok(Redirect::permanent("/elsewhere").into_response()),
            Some(Fault::ErrorWith200(error)) => return Ok(axum::Json(error.body()).into_response()),
            Some(Fault::ResetEarly) => return Ok(reset(self, call)),
            _ => {}
        }
        let limits = self.spend(&edit)?;

        let mut size = edit.size;
        if matches!(fault, Some(Fault::WrongSize)) {
            size = Size { width: size.width + 16, ..size };
        }
        let source = form.images.swap_remove(0);
        drop(form);
        let (openai, sha256) = (self.clone(), source.received.sha256.clone());
        let base =
            tokio::task::spawn_blocking(move || openai.0.bases.get(&source.received.sha256, &source.bytes, size));
        let base = base.await.map_err(|_| ApiError::server_error())?.map_err(|_| ApiError::invalid_image_file(1))?;

        service.log.bill(edit.count);
        let generation = Generation { openai: self.clone(), edit, fault, base, sha256, origin };
        Ok((limits, generation.answer(call).await?).into_response())
    }

    /// Checks the key.
    fn admit(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(key) = value.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(ApiError::missing_api_key());
        };
        if key == self.0.api_key {
            return Ok(());
        }
        let (from, to) = (key.len().min(3), key.len().saturating_sub(4).max(3));
        let end = key.get(to..).unwrap_or_default();
        Err(ApiError::invalid_api_key(&format!("{}***{end}", key.get(..from).unwrap_or_default())))
    }

    /// Takes the call's images from the minute's budget, and says what is left of it.
    fn spend(&self, edit: &Edit) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::new();
        let Some(budget) = &self.0.budget else { return Ok(headers) };
        let limit = budget.per_minute();
        let left = budget.take(edit.input_images, Instant::now()).map_err(|wait| {
            ApiError::rate_limit_exceeded(edit.model, limit, edit.input_images, wait)
                .retry_after(RetryAfter::Seconds(wait.as_secs_f64().ceil() as u64))
        })?;
        headers.insert("x-ratelimit-limit-input-images", limit.into());
        headers.insert("x-ratelimit-remaining-input-images", left.into());
        Ok(headers)
    }
}

async fn models(State(openai): State<OpenAi>, headers: HeaderMap) -> Response {
    let list = openai.admit(&headers).map(|()| {
        let models: Vec<Value> = model::living(OffsetDateTime::now_utc().date()).map(described).collect();
        axum::Json(json!({ "object": "list", "data": models })).into_response()
    });
    quick(list)
}

async fn one_model(State(openai): State<OpenAi>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let found = openai.admit(&headers).and_then(|()| model::find(&id, OffsetDateTime::now_utc().date()));
    quick(found.map(|model| axum::Json(described(model)).into_response()))
}

fn described(model: &model::Model) -> Value {
    json!({ "id": model.id, "object": "model", "created": 1_776_729_600, "owned_by": "system" })
}

async fn generated(State(openai): State<OpenAi>, Path(name): Path<String>) -> Response {
    match openai.0.hosted.get(&name) {
        Some((format, file)) => ([(header::CONTENT_TYPE, format.mime())], file).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn unknown_url(method: Method, uri: Uri) -> Response {
    quick(Err(ApiError::unknown_url(method.as_str(), uri.path())))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    quick(Err(ApiError::wrong_method(method.as_str(), uri.path())))
}

fn quick(answer: Result<Response, ApiError>) -> Response {
    let request_id = format!("req_{}", uuid::Uuid::new_v4().simple());
    stamped(answer.unwrap_or_else(IntoResponse::into_response), &request_id, Duration::from_millis(1))
}

/// The page of a proxy that lost the service. Something in front wrote it, so no header of the service is on it.
fn html_page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<html>\r\n<head><title>{code} {reason}</title></head>\r\n<body>\r\n<center><h1>{code} {reason}</h1></center>\r\n\
         <hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n",
        code = status.as_u16()
    );
    let ray = [("server", "cloudflare"), ("cf-ray", "8f0c5d1e2a3b4c5d-FRA")];
    (status, ray, Html(page)).into_response()
}

/// `response` with the headers that the service puts on each answer.
fn stamped(mut response: Response, request_id: &str, took: Duration) -> Response {
    if response.headers().contains_key("cf-ray") {
        return response;
    }
    let headers = response.headers_mut();
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", request_id);
    }
    headers.insert("openai-processing-ms", (took.as_millis() as u64).into());
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    response
}
