//! Templates: list, show, create, change, delete, use.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::accepted::accept;
use super::generate;
use super::jobs::page;
use super::problem::{BadBody, Failures, Missing, Problem};
use super::request::{Asked, Body, By, Id};
use crate::client::{Job, NewJob, Template, TemplateList};
use crate::job::{AspectRatio, SlidesFrom};

/// What is searched for, at most, in characters.
const LONGEST: usize = 200;

/// Which templates.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those with all of these words in name, description, tags and prompts.
    #[param(max_length = 200)]
    search: Option<String>,
    /// Only those that are marked, or only those that are not.
    favorite: Option<bool>,
    /// Only those with this tag.
    #[param(max_length = 200)]
    tag: Option<String>,
    /// Templates of a page; 20 when left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next` of the page before.
    after: Option<String>,
}

/// A page of templates.
#[derive(Serialize, ToSchema)]
pub(super) struct Templates {
    /// Newest first.
    templates: Vec<Template>,
    /// What the next page is asked for with; null on the last one.
    next: Option<String>,
}

/// What a template is made of. What a change leaves out stays.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateParts {
    /// What the gallery shows, 1 to 200 characters. Required for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Free text, at most 2000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// Objects in the bucket, in your own folder: 1 to 16, or 100 where no slide sees more than 16 of them. Required for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    source_paths: Option<Vec<String>>,
    /// Where the slides of a job come from that does not say: `prompts` or `sources`.
    #[serde(skip_serializing_if = "Option::is_none")]
    slides_from: Option<SlidesFrom>,
    /// For each slide, which sources go along with it, by number from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    slide_sources: Option<Vec<Vec<u32>>>,
    /// Prompt that a job takes when it brings none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32000)]
    prompt: Option<String>,
    /// One text a slide; empty for a single slide, or for slides that share the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    slide_prompts: Option<Vec<String>>,
    /// Ratios that a job takes when it brings none, each once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 8)]
    aspect_ratios: Option<Vec<AspectRatio>>,
    /// Number of variants, 1 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    variants: Option<i32>,
    /// Style options.
    #[serde(skip_serializing_if = "Option::is_none")]
    style: Option<Map<String, Value>>,
    /// Default values for `{{name}}` in the prompts: at most 50, names like `product_2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    variables: Option<BTreeMap<String, String>>,
    /// Free words for search, at most 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// Whether it is marked.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_favorite: Option<bool>,
}

impl TemplateParts {
    fn is_empty(&self) -> bool {
        serde_json::to_value(self).is_ok_and(|parts| parts.as_object().is_some_and(Map::is_empty))
    }
}

/// List your templates, newest first
///
/// Without the texts that a job takes: show a template for these.
#[utoipa::path(get, path = "/api/image-generator/templates", tag = "Templates", params(Which), security(("token" = [])),
    responses((status = 200, description = "A page of templates.", body = Templates), Failures))]
pub(super) async fn list(By(caller): By, Asked(which): Asked<Which>) -> Result<Json<Templates>, Problem> {
    let (limit, after) = page(which.limit, which.after.as_deref())?;
    for (name, text) in [("search", &which.search), ("tag", &which.tag)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > LONGEST) {
            return Err(Problem::malformed(format!("`{name}` has more than {LONGEST} characters")));
        }
    }
    let list =
        TemplateList { search: which.search, is_favorite: which.favorite, tags: which.tag.into_iter().collect() };
    let page = caller.templates(&list, limit, after.as_ref()).await?;
    Ok(Json(Templates { templates: page.rows, next: page.next.map(|next| next.to_string()) }))
}

/// Show a template
#[utoipa::path(get, path = "/api/image-generator/templates/{id}", tag = "Templates",
    params(("id" = Uuid, Path, description = "The template's id.")), security(("token" = [])),
    responses((status = 200, description = "The template.", body = Template), Failures, Missing))]
pub(super) async fn show(By(caller): By, Id(id): Id) -> Result<Json<Template>, Problem> {
    Ok(Json(caller.template(id).await?))
}

/// Make a template
///
/// A job with new sources makes one by itself.
#[utoipa::path(post, path = "/api/image-generator/templates", tag = "Templates", request_body = TemplateParts,
    security(("token" = [])),
    responses((status = 201, description = "The template.", body = Template), Failures, BadBody))]
pub(super) async fn create(
    By(caller): By,
    Body(parts): Body<TemplateParts>,
) -> Result<(StatusCode, [(&'static str, String); 1], Json<Template>), Problem> {
    for (missing, field) in [(parts.name.is_none(), "name"), (parts.source_paths.is_none(), "source_paths")] {
        if missing {
            return Err(Problem::malformed(format!("`{field}` is missing")));
        }
    }
    let template = caller.insert_template(&parts).await?;
    let location = format!("/api/image-generator/templates/{}", template.id);
    Ok((StatusCode::CREATED, [("location", location)], Json(template)))
}

/// Change a template
#[utoipa::path(patch, path = "/api/image-generator/templates/{id}", tag = "Templates", request_body = TemplateParts,
    params(("id" = Uuid, Path, description = "The template's id.")), security(("token" = [])),
    responses((status = 200, description = "The template as it is now.", body = Template), Failures, Missing, BadBody))]
pub(super) async fn change(
    By(caller): By,
    Id(id): Id,
    Body(parts): Body<TemplateParts>,
) -> Result<Json<Template>, Problem> {
    if parts.is_empty() {
        return Ok(Json(caller.template(id).await?));
    }
    Ok(Json(caller.change_template(id, &parts).await?))
}

/// Delete a template
///
/// Jobs that were made from it stay.
#[utoipa::path(delete, path = "/api/image-generator/templates/{id}", tag = "Templates",
    params(("id" = Uuid, Path, description = "The template's id.")), security(("token" = [])),
    responses((status = 204, description = "It is gone."), Failures, Missing))]
pub(super) async fn delete(By(caller): By, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.delete_template(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a job from a template
///
/// The body says what is to be different from the template: `{}` for nothing.
#[utoipa::path(post, path = "/api/image-generator/templates/{id}/use", tag = "Templates", request_body = NewJob,
    params(("id" = Uuid, Path, description = "The template's id."), generate::IdempotencyKey), security(("token" = [])),
    responses(
        (status = 202, description = "The job; it is worked on as soon as a worker is free.", body = Job,
            headers(("location" = String, description = "Where the job is."))),
        Failures, Missing, BadBody,
        (status = 409, description = "Another request is making a job with this key.", body = Problem, content_type = super::problem::PROBLEM)))]
pub(super) async fn reuse(
    By(caller): By,
    Id(id): Id,
    headers: HeaderMap,
    Body(mut job): Body<NewJob>,
) -> Result<Response, Problem> {
    if job.template_id.is_some_and(|named| named != id) {
        return Err(Problem::malformed("`template_id` names another template than the path"));
    }
    // Somebody else's template is one that is not there.
    caller.template(id).await?;
    job.template_id = Some(id);
    accept(&caller, job, generate::key(&headers)?).await
}
