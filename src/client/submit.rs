//! How a job gets into the queue: what it may ask for, and made once however often its request comes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Job;
use super::jobs::JOBS;
use crate::job::{self, AspectRatio, Format, MAX_SOURCES, MAX_SOURCES_OF_SLIDE, NoMoment, SlidesFrom};
use crate::supabase::{Caller, Error};

/// What is asked for. What is left out comes from the template, or is the default.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewJob {
    /// One of your templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<Uuid>,
    /// Groups jobs that are sent together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<Uuid>,
    /// What lists show, at most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub title: Option<String>,
    /// What to make of the sources, at most 32000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 32000)]
    pub prompt: Option<String>,
    /// One text a slide; none for a single slide, or for slides that share the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub slide_prompts: Option<Vec<String>>,
    /// Objects in the bucket, in your own folder: `{user id}/sources/...`. At most 16, files of the request included; at most 100 where no slide sees more
    /// than 16 of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100)]
    pub source_paths: Option<Vec<String>>,
    /// `prompts` when nobody says: a slide for each slide prompt, and each sees all sources. `sources`: each source becomes a slide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slides_from: Option<SlidesFrom>,
    /// For each slide, which sources go along with it, by number from 1: each source with a slide, at most 16 with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    pub slide_sources: Option<Vec<Vec<u32>>>,
    /// Each once; `1:1` when nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 8)]
    pub aspect_ratios: Option<Vec<AspectRatio>>,
    /// Variants of the whole carousel, 1 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10)]
    pub variants: Option<i32>,
    /// Style options; each is added to the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<Map<String, Value>>,
    /// Values for `{{name}}` in the prompts, before the template's own: at most 50, names like `product_2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<BTreeMap<String, String>>,
    /// Provider model; the worker's default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub model: Option<String>,
    /// `low`, `medium`, `high`, `xhigh`, `max` or `auto`; the worker's default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// `png` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<Format>,
    /// `transparent`, `opaque` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// Previews to show while an image is made, 0 to 3. Each is billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 3)]
    pub partial_previews: Option<i32>,
    /// Order among your own jobs, -100 to 100, higher first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -100, maximum = 100)]
    pub priority: Option<i32>,
    /// Not before this time, as RFC 3339 writes it: with its zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub run_at: Option<String>,
}

impl NewJob {
    /// The job, when its time is one. The database would take a time without a zone for one of its own.
    ///
    /// # Errors
    /// When `run_at` names no moment.
    pub fn checked(mut self) -> Result<Self, NoMoment> {
        if let Some(text) = &self.run_at {
            self.run_at = job::moment(text)?.format(&Rfc3339).ok();
        }
        Ok(self)
    }

    /// Sources that it may have, as far as it tells: a template may say more.
    pub fn most_sources(&self) -> usize {
        let shared = self.template_id.is_none()
            && self.slide_sources.is_none()
            && self.slides_from.unwrap_or_default() == SlidesFrom::Prompts;
        if shared { MAX_SOURCES_OF_SLIDE } else { MAX_SOURCES }
    }
}

/// A job that was asked for.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Its row.
    pub job: Job,
    /// Whether an earlier request with the same key has made it.
    pub repeated: bool,
}

impl Caller {
    /// Makes the job, or finds the one that an earlier request with the same key has made. `owner` is for whom the operator asks; a person asks for
    /// themselves.
    ///
    /// # Errors
    /// `Refused` by a rule; `Conflict` when the key's job has gone meanwhile; `Unreachable`, `Unavailable` or `NotUnderstood` when it is not known whether
    /// the job was made; else see [`Error`].
    pub async fn submit(&self, owner: Option<Uuid>, job: &NewJob, key: Option<&str>) -> Result<Submitted, Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: Uuid,
            #[serde(skip_serializing_if = "Option::is_none")]
            user_id: Option<Uuid>,
            #[serde(flatten)]
            job: &'a NewJob,
            #[serde(skip_serializing_if = "Option::is_none")]
            idempotency_key: Option<&'a str>,
        }
        // An id of ours: when the answer is lost, it tells whether the job was made.
        let row = Row { id: Uuid::new_v4(), user_id: owner, job, idempotency_key: key };
        let error = match self.insert_job(&row).await {
            Ok(job) => return Ok(Submitted { job, repeated: false }),
            Err(error) => error,
        };
        match (&error, key) {
            (Error::Conflict { .. }, Some(key)) => match self.job_by_key(owner, key).await? {
                Some(job) => Ok(Submitted { job, repeated: true }),
                // It was there, and is gone again.
                None => Err(error),
            },
            (Error::Unreachable { .. } | Error::Unavailable { .. } | Error::NotUnderstood { .. }, _) => {
                self.job(row.id).await.map(|job| Submitted { job, repeated: false }).map_err(|_| error)
            }
            _ => Err(error),
        }
    }

    /// The caller's job with this idempotency key. The operator, who sees the keys of all, says whose.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn job_by_key(&self, owner: Option<Uuid>, key: &str) -> Result<Option<Job>, Error> {
        let mut request = self.from(JOBS).eq("idempotency_key", key);
        if let Some(owner) = owner {
            request = request.eq("user_id", owner.to_string());
        }
        match self.row(request).await {
            Ok(job) => Ok(Some(job)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
