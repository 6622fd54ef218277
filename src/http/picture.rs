//! One picture at a time, as frontends from before carousel ask for it: a form with one photo, answered when its picture is there.
//!
//! It is a job of one image like any other, and stays one whatever becomes of the request: who waits no longer finds it among their jobs.

use std::time::Duration;

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use multer::Field;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::timeout;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Api;
use super::form::{Form, text};
use super::problem::Problem;
use crate::client::{Hints, Image, Job, NewJob, Status};
use crate::job::AspectRatio;
use crate::supabase::{Caller, Error};

/// A picture is waited for as long as so many requests may take together.
const REQUESTS: u32 = 10;
/// How long a signed address works.
const SIGNED: Duration = Duration::from_secs(86_400);
/// Parts that only this form has, its photo aside.
const PARTS: [&str; 5] = ["prompt", "carousel_index", "image_index", "settings", "aspect_ratio"];
/// The part with the photo.
pub(super) const PHOTO: &str = "source_image";

/// The picture that was asked for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Picture {
    /// Where it can be seen: its public address where the bucket is public, else one that works for a day.
    image_url: String,
    /// Object in the bucket.
    storage_path: String,
    /// Pixels.
    width: Option<i32>,
    /// Pixels.
    height: Option<i32>,
    /// Its job.
    job_id: Uuid,
    /// Its row.
    image_id: Uuid,
}

/// What the parts of the form have said so far.
#[derive(Default)]
pub(super) struct Asked {
    prompt: Option<String>,
    carousel: Option<u32>,
    image: Option<u32>,
    settings: Option<Map<String, Value>>,
    ratio: Option<AspectRatio>,
}

/// Whether a part belongs to this form.
pub(super) fn has_part(name: &str) -> bool {
    name == PHOTO || PARTS.contains(&name)
}

impl Asked {
    /// Takes in a part other than the photo.
    pub(super) async fn take(&mut self, part: Field<'static>, form: &Form) -> Result<(), Problem> {
        let name = part.name().and_then(|name| PARTS.into_iter().find(|known| *known == name)).unwrap_or_default();
        let said = text(part, form, name).await?;
        let again = || Problem::malformed(format!("the form has two parts `{name}`"));
        match name {
            "prompt" => first(&mut self.prompt, said).ok_or_else(again),
            "carousel_index" => first(&mut self.carousel, index(name, &said)?).ok_or_else(again),
            "image_index" => first(&mut self.image, index(name, &said)?).ok_or_else(again),
            "aspect_ratio" => first(&mut self.ratio, ratio(name, &said)?).ok_or_else(again),
            _ => {
                let settings = serde_json::from_str(&said)
                    .map_err(|error| Problem::malformed(format!("`settings` is no JSON object: {error}")))?;
                first(&mut self.settings, settings).ok_or_else(again)
            }
        }
    }

    /// The job that makes the picture, without its source.
    pub(super) fn job(self) -> Result<NewJob, Problem> {
        let settings = self.settings.unwrap_or_default();
        let said = |name: &str| match settings.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Problem::value_invalid(format!("`settings.{name}` is no text"))),
        };
        let wanted = |name: &str| match settings.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(wanted)) => Ok(*wanted),
            Some(_) => Err(Problem::value_invalid(format!("`settings.{name}` is neither true nor false"))),
        };
        let among = said("aspect_ratio")?.map(|text| ratio("settings.aspect_ratio", text)).transpose()?;
        let quality = match said("quality")? {
            Some("standard") => Some("medium"),
            Some("hd") => Some("high"),
            Some(word @ ("low" | "medium" | "high" | "xhigh" | "max" | "auto")) => Some(word),
            Some(_) => {
                let detail = "`settings.quality` is none of standard, hd, low, medium, high, xhigh, max, auto";
                return Err(Problem::value_invalid(detail));
            }
            None => None,
        };
        let mut style = Map::new();
        if wanted("use_lowercase")? {
            style.insert("lettering".to_owned(), "all in lowercase".into());
        }
        let colour = said("border_color")?.filter(|colour| !colour.is_empty()).unwrap_or("yes");
        if wanted("add_borders")? {
            style.insert("borders".to_owned(), colour.chars().take(100).collect::<String>().into());
        }
        let prompt = self.prompt.filter(|prompt| !prompt.trim().is_empty());
        let prompt = prompt.ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "prompt_missing", "the part `prompt` is missing or empty")
        })?;
        let place = |index: Option<u32>| u64::from(index.unwrap_or_default()) + 1;
        Ok(NewJob {
            title: Some(format!("Carousel {}, slide {}", place(self.carousel), place(self.image))),
            prompt: Some(prompt),
            aspect_ratios: Some(vec![self.ratio.or(among).unwrap_or(AspectRatio::Auto)]),
            quality: quality.map(str::to_owned),
            style: Some(style).filter(|style| !style.is_empty()),
            ..NewJob::default()
        })
    }
}

/// Keeps what is said, if nothing was said before.
fn first<T>(place: &mut Option<T>, said: T) -> Option<()> {
    place.is_none().then(|| *place = Some(said))
}

fn index(name: &str, said: &str) -> Result<u32, Problem> {
    said.trim().parse().map_err(|_| Problem::value_invalid(format!("`{name}` is no whole number from 0")))
}

fn ratio(name: &str, said: &str) -> Result<AspectRatio, Problem> {
    said.trim().parse().map_err(|error| Problem::value_invalid(format!("`{name}`: {error}")))
}

/// Waits for the picture of a job.
pub(super) async fn of(api: &Api, caller: &Caller, job: Job) -> Response {
    let id = job.id;
    let late = || {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "picture_not_ready", "the picture is not ready yet; its job goes on")
            .hint("`Location` tells where the job is: look there again, and don't ask for the picture a second time.")
    };
    let outcome = tokio::select! {
        waited = timeout(api.settings.patience * REQUESTS, wait(caller, job)) => waited.unwrap_or_else(|_| Err(late())),
        () = api.end.cancelled() => Err(late()),
    };
    let mut answer = outcome.map_or_else(Problem::into_response, |picture| Json(picture).into_response());
    if let Ok(location) = HeaderValue::from_str(&format!("/api/image-generator/jobs/{id}")) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

async fn wait(caller: &Caller, job: Job) -> Result<Picture, Problem> {
    let mut hints = Hints::new(caller, job.id, job.user_id);
    let (job, images) = loop {
        hints.changed().await;
        match caller.progress(job.id).await {
            Ok(rows) if rows.0.status.is_over() => break rows,
            Ok(_) => {}
            Err(error @ (Error::NotFound | Error::Unauthorized { .. })) => return Err(error.into()),
            Err(error) => tracing::debug!(%error, job = %job.id, "an awaited job can't be read; looking again soon"),
        }
    };
    let made = images.into_iter().find_map(|image| Some((image.storage_path.clone()?, image)));
    let Some((path, image)) = made else { return Err(unmade(job)) };
    shown(caller, path, image).await
}

/// Why a job that is over has no picture.
fn unmade(job: Job) -> Problem {
    if job.status == Status::Cancelled {
        return Problem::new(StatusCode::CONFLICT, "cancelled", "the job was cancelled");
    }
    let detail = job.error_message.unwrap_or_else(|| "the picture could not be made".to_owned());
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "picture_failed", detail);
    match job.error_code {
        Some(code) => Problem { code, ..problem },
        None => problem,
    }
}

async fn shown(caller: &Caller, path: String, image: Image) -> Result<Picture, Problem> {
    let address = match caller.public_address(&path).await? {
        Some(address) => Some(address),
        None => caller.sign(std::slice::from_ref(&path), SIGNED).await?.pop().flatten(),
    };
    Ok(Picture {
        image_url: address.ok_or_else(Problem::not_found)?.into(),
        storage_path: path,
        width: image.width,
        height: image.height,
        job_id: image.job_id,
        image_id: image.id,
    })
}
