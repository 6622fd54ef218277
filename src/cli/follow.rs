//! A job's rows as they change, from now until the job is over.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::client::{Caller, Change, Error, Event, Image, Job, Kind, Subscription};

/// Realtime is a hint: without one for so long, the rows themselves are read.
const LOOK: Duration = Duration::from_secs(5);
/// How often the rows are read while Realtime can't be had.
const WITHOUT: Duration = Duration::from_secs(2);
/// Reads of the rows that may fail one after the other while the project is away.
const FAILURES: u32 = 30;

/// A row that is new or has changed, whole.
pub(super) enum Seen<'a> {
    /// The job's.
    Job(&'a Job),
    /// One of its images'.
    Image(&'a Image),
}

/// How a job ended.
pub(super) struct Ended {
    pub(super) job: Job,
    /// In the order in which a person looks at them.
    pub(super) images: Vec<Image>,
}

/// Shows the rows of a job and every change of them until the job is over. The job's last row is shown after its last image.
///
/// # Errors
/// `NotFound` when the job is not there, not this caller's, or deleted meanwhile; else what the project answers once it fails for long.
pub(super) async fn follow(caller: &Caller, id: Uuid, mut show: impl FnMut(Seen<'_>)) -> Result<Ended, Error> {
    let mut known = Known::default();
    let mut failures = 0;
    let mut changes = None;
    loop {
        // First, after every gap and every long silence: the rows are the truth.
        match caller.job_with_images(id).await {
            Ok((job, images)) => {
                failures = 0;
                known.read(&job, &images, &mut show);
                if job.status.is_over() {
                    return Ok(Ended { job, images });
                }
            }
            Err(error @ (Error::Unavailable { .. } | Error::Unreachable { .. } | Error::TooMany { .. })) => {
                failures += 1;
                if failures > FAILURES {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        let subscription = match changes.take() {
            Some(subscription) => subscription,
            None => match caller.changes(&of_job(id)).await {
                // What changed before it listened is read once more.
                Ok(subscription) => {
                    changes = Some(subscription);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "Realtime can't be had, reading the rows instead");
                    tokio::time::sleep(WITHOUT).await;
                    continue;
                }
            },
        };
        changes = listen(subscription, id, &mut known, &mut show).await;
        if failures > 0 {
            tokio::time::sleep(WITHOUT).await;
        }
    }
}

fn of_job(id: Uuid) -> [Change; 2] {
    [("image_generation_jobs", format!("id=eq.{id}")), ("generated_carousel_images", format!("job_id=eq.{id}"))]
        .map(|(table, filter)| Change { table: table.to_owned(), filter: Some(filter) })
}

/// Shows what Realtime tells, until it is silent or the job is over or gone. Gives the subscription back, unless it has ended.
async fn listen(
    mut changes: Subscription,
    id: Uuid,
    known: &mut Known,
    show: &mut impl FnMut(Seen<'_>),
) -> Option<Subscription> {
    let mut until = Instant::now() + LOOK;
    while let Ok(heard) = timeout_at(until, changes.next()).await {
        let event = heard?;
        until = Instant::now() + LOOK;
        let is_gone = event.kind == Kind::Delete && event.old_record["id"] == id.to_string();
        if is_gone || known.hear(&event, id, show) {
            break;
        }
    }
    Some(changes)
}

/// The rows as they were last shown.
#[derive(Default)]
struct Known {
    rows: HashMap<Uuid, Value>,
}

impl Known {
    /// Shows what is new in rows that were read.
    fn read(&mut self, job: &Job, images: &[Image], show: &mut impl FnMut(Seen<'_>)) {
        // While it runs, the job stands above its images; when it is over, its row is the last word.
        let is_over = job.status.is_over();
        if !is_over && self.is_new(job.id, job) {
            show(Seen::Job(job));
        }
        for image in images {
            if self.is_new(image.id, image) {
                show(Seen::Image(image));
            }
        }
        if is_over && self.is_new(job.id, job) {
            show(Seen::Job(job));
        }
    }

    /// Shows what Realtime told, and says whether the job is over. Its end is shown with the rows that are read upon it: an image's last
    /// change may still be on its way.
    fn hear(&mut self, event: &Event, job: Uuid, show: &mut impl FnMut(Seen<'_>)) -> bool {
        if event.table == "image_generation_jobs" {
            match self.merged::<Job>(&event.record) {
                Some(row) if row.id != job || self.is_older(&row) => {}
                Some(row) if row.status.is_over() => return true,
                Some(row) if self.is_new(job, &row) => show(Seen::Job(&row)),
                _ => {}
            }
        } else if let Some(image) = self.merged::<Image>(&event.record)
            && image.job_id == job
            && !self.is_back(&image)
            && self.is_new(image.id, &image)
        {
            show(Seen::Image(&image));
        }
        false
    }

    /// Whether a later state was read already: what Realtime tells can be on its way for a while.
    fn is_older(&self, job: &Job) -> bool {
        // In UTC and of one form: as texts they stand in the order of time.
        self.rows
            .get(&job.id)
            .and_then(|known| known["updated_at"].as_str())
            .is_some_and(|known| job.updated_at.as_str() < known)
    }

    /// The same of an image, which has no such time: while a job is not over, an image that is done stays done.
    fn is_back(&self, image: &Image) -> bool {
        let is_done = |status: &str| ["completed", "failed", "cancelled"].contains(&status);
        let known = self.rows.get(&image.id).and_then(|known| known["status"].as_str());
        known.is_some_and(is_done) && !is_done(&image.status)
    }

    /// The row as it is after a change. A change lacks long texts that stay the same: they are taken from what is known. Nothing when that does
    /// not make a whole row, which will be read.
    fn merged<T: DeserializeOwned>(&self, record: &Value) -> Option<T> {
        let known = record["id"].as_str()?.parse().ok().and_then(|id: Uuid| self.rows.get(&id));
        let mut row = known.and_then(Value::as_object).cloned().unwrap_or_default();
        row.extend(record.as_object()?.clone());
        serde_json::from_value(Value::Object(row)).ok()
    }

    fn is_new(&mut self, id: Uuid, row: &impl Serialize) -> bool {
        let row = serde_json::to_value(row).unwrap_or_default();
        self.rows.insert(id, row.clone()) != Some(row)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Job {
        let row = json!({
            "id": Uuid::nil(), "user_id": Uuid::nil(), "prompt": "a long text", "slide_prompts": [], "source_paths": ["a"],
            "aspect_ratios": ["1:1"], "variants": 1, "style": {}, "variables": {}, "partial_previews": 0, "priority": 0,
            "run_at": "2026-11-25T10:00:00+00:00", "status": "processing", "stage": "fetching", "progress": 0,
            "total_images": 1, "completed_images": 0, "failed_images": 0, "attempt": 1, "cost_usd": 0.0,
            "created_at": "2026-11-25T10:00:00+00:00", "updated_at": "2026-11-25T10:00:00.5+00:00",
        });
        serde_json::from_value(row).expect("it is a row")
    }

    fn told(known: &mut Known, record: Value) -> (Vec<(String, i32)>, bool) {
        let event = json!({ "table": "image_generation_jobs", "type": "UPDATE", "record": record });
        let mut shown = Vec::new();
        let over = known.hear(&serde_json::from_value(event).expect("it is an event"), Uuid::nil(), &mut |seen| {
            if let Seen::Job(job) = seen {
                shown.push((job.prompt.clone(), job.progress));
            }
        });
        (shown, over)
    }

    #[test]
    fn a_change_is_shown_once_with_what_it_leaves_out_and_an_older_one_is_not() {
        let mut known = Known::default();
        let change = |progress: i32, updated_at: &str| json!({ "id": Uuid::nil(), "progress": progress, "updated_at": updated_at });
        let later = "2026-11-25T10:00:00.75+00:00";
        assert_eq!(told(&mut known, change(10, later)), (vec![], false), "nothing whole is known yet");
        known.read(&job(), &[], &mut |_| {});
        assert_eq!(told(&mut known, change(10, later)), (vec![("a long text".to_owned(), 10)], false));
        assert_eq!(told(&mut known, change(10, later)), (vec![], false));
        assert_eq!(told(&mut known, change(5, "2026-11-25T10:00:00.6+00:00")), (vec![], false));
        let mut end = change(100, "2026-11-25T10:00:01+00:00");
        end["status"] = json!("completed");
        assert_eq!(told(&mut known, end), (vec![], true), "the end is shown with the rows that are read upon it");
    }
}
