//! Jobs, as rows of the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::job::{AspectRatio, SlidesFrom};
use crate::supabase::{Caller, Cursor, Error, Page, Stamped};

pub(super) const JOBS: &str = "image_generation_jobs";
/// A job's columns without its texts and sources: what many rows at once are read with.
pub(super) const SHORT: &str = "id,user_id,template_id,template_version,batch_id,title,slides_from,slide_sources,aspect_ratios,variants,model,quality,output_format,\
     background,partial_previews,priority,run_at,idempotency_key,status,stage,progress,message,total_images,completed_images,failed_images,attempt,\
     error_code,error_message,cost_usd,usage,cancel_requested_at,retry_requested_at,started_at,finished_at,created_at,updated_at";

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for a worker.
    #[serde(alias = "queued")]
    Pending,
    /// A worker has it.
    Processing,
    /// Every image is there.
    Completed,
    /// Some images are there, the others failed.
    Partial,
    /// No image could be made.
    Failed,
    /// Its owner did not want it any more.
    Cancelled,
}

impl Status {
    /// Whether nothing more will happen, unless somebody asks for it.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Pending | Self::Processing)
    }

    /// The words that it may have in rows. One is of frontends from before carousel.
    fn words(self) -> impl Iterator<Item = &'static str> {
        let before = (self == Self::Pending).then_some("queued");
        std::iter::once(self.as_str()).chain(before)
    }

    /// The status as it stands in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A request for carousels, and how far it has come. Times are RFC 3339. Lists and events leave out its texts and sources.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Primary key.
    pub id: Uuid,
    /// Owner.
    pub user_id: Uuid,
    /// Template the job was made from, or the one that it made.
    pub template_id: Option<Uuid>,
    /// Version of the template that it was made with.
    pub template_version: Option<i32>,
    /// Groups jobs that were sent together.
    pub batch_id: Option<Uuid>,
    /// What lists show.
    pub title: Option<String>,
    /// What to make of the sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// One text a slide; empty for a single slide, or for slides that share the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slide_prompts: Option<Vec<String>>,
    /// Objects in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_paths: Option<Vec<String>>,
    /// Where the slides come from.
    pub slides_from: SlidesFrom,
    /// For each slide, which sources go along with it, by number from 1; null for all.
    pub slide_sources: Option<Vec<Vec<u32>>>,
    /// Ratios to make.
    pub aspect_ratios: Vec<AspectRatio>,
    /// Variants of the whole carousel.
    pub variants: i32,
    /// Style options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Map<String, Value>>,
    /// Values of the variables that its prompts were written with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<BTreeMap<String, String>>,
    /// Provider model; the worker's default when null.
    pub model: Option<String>,
    /// Quality; the worker's default when null.
    pub quality: Option<String>,
    /// `png`, `jpeg` or `webp`; `png` when null.
    pub output_format: Option<String>,
    /// `transparent`, `opaque` or `auto`.
    pub background: Option<String>,
    /// Previews to show while an image is made.
    pub partial_previews: i32,
    /// Order among the jobs of one user.
    pub priority: i32,
    /// Not before this time.
    #[schema(format = DateTime)]
    pub run_at: String,
    /// What makes a repeated request find the first job.
    pub idempotency_key: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// `queued`, `fetching`, `generating` or `finished`.
    pub stage: String,
    /// 0 to 100; 100 exactly when completed.
    pub progress: i32,
    /// What is happening, in words for a person.
    pub message: Option<String>,
    /// variants x slides x aspect ratios.
    pub total_images: i32,
    /// Images that are in the bucket.
    pub completed_images: i32,
    /// Images that could not be made.
    pub failed_images: i32,
    /// How many times a worker has taken it up.
    pub attempt: i32,
    /// Stable code of the failure.
    pub error_code: Option<String>,
    /// The failure in words for a person.
    pub error_message: Option<String>,
    /// What the images cost, in dollars.
    pub cost_usd: f64,
    /// Tokens used.
    pub usage: Option<Map<String, Value>>,
    /// When somebody asked to cancel it.
    #[schema(format = DateTime)]
    pub cancel_requested_at: Option<String>,
    /// When somebody asked for another try.
    #[schema(format = DateTime)]
    pub retry_requested_at: Option<String>,
    /// When a worker first took it up.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it reached its last state.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Its template as far as a list reads it.
    #[serde(default, skip_serializing, rename = "image_generation_templates")]
    #[schema(ignore)]
    pub template: Option<Named>,
}

/// What is known by its name.
#[derive(Clone, Debug, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
}

impl Stamped for Job {
    fn stamp(&self) -> (&str, Uuid) {
        (&self.created_at, self.id)
    }
}

/// Which jobs a list has.
#[derive(Clone, Debug, Default)]
pub struct JobList {
    /// Only those that stand so; all when empty.
    pub status: Vec<Status>,
    /// Only those of this template.
    pub template_id: Option<Uuid>,
    /// Only those that were sent together.
    pub batch_id: Option<Uuid>,
}

impl Caller {
    /// Makes a job of the columns that a client may insert.
    ///
    /// # Errors
    /// `Refused` by a rule, `Conflict` when the id or the idempotency key is taken; else see [`Error`].
    pub async fn insert_job(&self, job: &impl Serialize) -> Result<Job, Error> {
        let job = serde_json::to_string(job).map_err(Error::not_understood)?;
        self.row(self.from(JOBS).insert(job)).await
    }

    /// The job with this id.
    pub async fn job(&self, id: Uuid) -> Result<Job, Error> {
        self.row(self.from(JOBS).eq("id", id.to_string())).await
    }

    /// A page of jobs, newest first, without their texts: each may be long.
    pub async fn jobs(&self, list: &JobList, limit: usize, after: Option<&Cursor>) -> Result<Page<Job>, Error> {
        let mut request = self.from(JOBS).select(format!("{SHORT},image_generation_templates(name)"));
        if !list.status.is_empty() {
            request = request.in_("status", list.status.iter().flat_map(|status| status.words()));
        }
        for (column, id) in [("template_id", list.template_id), ("batch_id", list.batch_id)] {
            if let Some(id) = id {
                request = request.eq(column, id.to_string());
            }
        }
        self.page(request, limit, after).await
    }

    /// Asks to cancel a job: a waiting one ends at once, a running one soon. Of one that is over nothing changes.
    pub async fn cancel_job(&self, id: Uuid) -> Result<Job, Error> {
        self.change_job(id, &json!({ "cancel_requested_at": "now" })).await
    }

    /// Asks for another try: the images that are not completed are made once more. Of a job that is not over, or completed, nothing changes.
    pub async fn retry_job(&self, id: Uuid) -> Result<Job, Error> {
        self.change_job(id, &json!({ "retry_requested_at": "now" })).await
    }

    async fn change_job(&self, id: Uuid, change: &Value) -> Result<Job, Error> {
        self.row(self.from(JOBS).eq("id", id.to_string()).update(change.to_string())).await
    }

    /// Deletes a job: it stops, and its images are removed from the bucket.
    pub async fn delete_job(&self, id: Uuid) -> Result<Job, Error> {
        self.row(self.from(JOBS).eq("id", id.to_string()).delete()).await
    }
}
