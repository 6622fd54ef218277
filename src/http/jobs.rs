//! Jobs: list, show, delete, cancel, retry.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::problem::{Failures, Missing, Problem};
use super::request::{Asked, By, Id};
use crate::client::{Image, Job, JobList, Status};
use crate::supabase::{Cursor, NoCursor};

/// Seconds that a signed address may work: a week.
const LONGEST_SIGNATURE: u64 = 604_800;
/// Rows of a page, unless the request says how many.
const PAGE: usize = 20;

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those that stand so, by comma.
    #[param(value_type = Option<Vec<Status>>, style = Form, explode = false, example = "pending,processing")]
    status: Option<String>,
    /// Only those of this template.
    template_id: Option<Uuid>,
    /// Only those that were sent together.
    batch_id: Option<Uuid>,
    /// Jobs of a page; 20 when left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

/// A page of jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct Jobs {
    /// Newest first.
    jobs: Vec<Job>,
    /// What the next page is asked for with; null on the last one.
    next: Option<String>,
}

/// A job with its images.
#[derive(Serialize, ToSchema)]
pub(super) struct JobWithImages {
    #[serde(flatten)]
    job: Job,
    /// In the order in which a person looks at them; none before a worker has the job.
    images: Vec<ShownImage>,
}

/// An image, and where it can be seen.
#[derive(Serialize, ToSchema)]
struct ShownImage {
    #[serde(flatten)]
    image: Image,
    /// Where anyone can see it for a while, when `sign` asked for it. Never store it: it is as good as a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// What to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Shown {
    /// Seconds for which the images' `url` is to work; none is made when left out.
    #[param(minimum = 1, maximum = 604800)]
    sign: Option<u64>,
}

/// How many rows, and after which.
pub(super) fn page(limit: Option<usize>, after: Option<&str>) -> Result<(usize, Option<Cursor>), Problem> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=100).contains(&limit) {
        return Err(Problem::malformed("`limit` is not 1 to 100"));
    }
    let after =
        after.map(str::parse).transpose().map_err(|error: NoCursor| Problem::malformed(format!("`after`: {error}")))?;
    Ok((limit, after))
}

/// List your jobs, newest first
///
/// Without their texts and sources: show a job for these.
#[utoipa::path(get, path = "/api/image-generator/jobs", tag = "Jobs", params(Which), security(("token" = [])),
    responses((status = 200, description = "A page of jobs.", body = Jobs), Failures))]
pub(super) async fn list(By(caller): By, Asked(which): Asked<Which>) -> Result<Json<Jobs>, Problem> {
    let (limit, after) = page(which.limit, which.after.as_deref())?;
    let statuses = which.status.iter().flat_map(|list| list.split(',')).filter(|word| !word.is_empty());
    let status = statuses
        .map(|word| serde_json::from_value::<Status>(word.into()))
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::malformed(format!("`status`: {error}")))?;
    let list = JobList { status, template_id: which.template_id, batch_id: which.batch_id };
    let page = caller.jobs(&list, limit, after.as_ref()).await?;
    Ok(Json(Jobs { jobs: page.rows, next: page.next.map(|next| next.to_string()) }))
}

/// Show a job with its images
#[utoipa::path(get, path = "/api/image-generator/jobs/{id}", tag = "Jobs", params(("id" = Uuid, Path, description = "The job's id."), Shown),
    security(("token" = [])),
    responses((status = 200, description = "The job.", body = JobWithImages), Failures, Missing))]
pub(super) async fn show(
    By(caller): By,
    Id(id): Id,
    Asked(shown): Asked<Shown>,
) -> Result<Json<JobWithImages>, Problem> {
    if shown.sign.is_some_and(|seconds| !(1..=LONGEST_SIGNATURE).contains(&seconds)) {
        return Err(Problem::malformed(format!("`sign` is not 1 to {LONGEST_SIGNATURE}")));
    }
    let (job, images) = caller.job_with_images(id).await?;
    let mut urls = HashMap::new();
    if let Some(seconds) = shown.sign {
        let paths: Vec<String> = images.iter().filter_map(|image| image.storage_path.clone()).collect();
        let signed = caller.sign(&paths, Duration::from_secs(seconds)).await?;
        urls.extend(paths.into_iter().zip(signed));
    }
    let shown = |image: Image| {
        let url = image.storage_path.as_ref().and_then(|path| urls.remove(path)?).map(String::from);
        ShownImage { image, url }
    };
    Ok(Json(JobWithImages { job, images: images.into_iter().map(shown).collect() }))
}

/// Delete a job and its images
///
/// A running job stops. Its sources stay.
#[utoipa::path(delete, path = "/api/image-generator/jobs/{id}", tag = "Jobs", params(("id" = Uuid, Path, description = "The job's id.")),
    security(("token" = [])),
    responses((status = 204, description = "It is gone."), Failures, Missing))]
pub(super) async fn delete(By(caller): By, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.delete_job(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Cancel a job
///
/// A waiting job ends at once, a running one soon: watch its status. Of a job that is over nothing changes.
#[utoipa::path(post, path = "/api/image-generator/jobs/{id}/cancel", tag = "Jobs",
    params(("id" = Uuid, Path, description = "The job's id.")), security(("token" = [])),
    responses((status = 200, description = "The job as it is now.", body = Job), Failures, Missing))]
pub(super) async fn cancel(By(caller): By, Id(id): Id) -> Result<Json<Job>, Problem> {
    Ok(Json(caller.cancel_job(id).await?))
}

/// Make the images once more that are not completed
///
/// For a job that is partial, failed or cancelled. Of another one nothing changes.
#[utoipa::path(post, path = "/api/image-generator/jobs/{id}/retry", tag = "Jobs",
    params(("id" = Uuid, Path, description = "The job's id.")), security(("token" = [])),
    responses((status = 200, description = "The job as it is now.", body = Job), Failures, Missing))]
pub(super) async fn retry(By(caller): By, Id(id): Id) -> Result<Json<Job>, Problem> {
    Ok(Json(caller.retry_job(id).await?))
}
