//! A job's rows as they change, from now until the job is over.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::sleep;
use uuid::Uuid;

use super::hints::{Hint, Hints, LOOK_ALONE};
use super::{Image, Job};
use crate::supabase::{Caller, Error, Event, Kind};

/// Reads of the rows that may fail one after the other while the project is away.
const FAILURES: u32 = 30;

/// A row that is new or has changed, whole.
pub enum Seen<'a> {
    /// The job's.
    Job(&'a Job),
    /// One of its images'.
    Image(&'a Image),
}

/// How a job ended.
pub struct Ended {
    /// Its last row.
    pub job: Job,
    /// In the order in which a person looks at them.
    pub images: Vec<Image>,
}

/// Shows the rows of a job and every change of them until the job is over. The job's last row is shown after its last image.
///
/// # Errors
/// `NotFound` when the job is not there, not this caller's, or deleted meanwhile; else what the project answers once it fails for long.
pub async fn follow(caller: &Caller, id: Uuid, mut show: impl FnMut(Seen<'_>)) -> Result<Ended, Error> {
    let mut known = Known::default();
    let mut hints: Option<Hints> = None;
    let mut failures = 0;
    loop {
        // First, after every gap and every long silence: the rows are the truth.
        match caller.job_with_images(id).await {
            Ok((job, images)) => {
                failures = 0;
                known.read(&job, &images, &mut show);
                if job.status.is_over() {
                    return Ok(Ended { job, images });
                }
                hints.get_or_insert_with(|| Hints::new(caller, id, job.user_id));
            }
            Err(error @ (Error::Unavailable { .. } | Error::Unreachable { .. } | Error::TooMany { .. })) => {
                failures += 1;
                if failures > FAILURES {
                    return Err(error);
                }
                sleep(LOOK_ALONE).await;
            }
            Err(error) => return Err(error),
        }
        let Some(hints) = hints.as_mut().filter(|_| failures == 0) else { continue };
        // What Realtime tells is shown, until something is to be read: it was silent for long, the job is over or gone, or a row was told in part.
        while let Hint::Told(event) = hints.next().await {
            if event.kind == Kind::Delete || known.hear(&event, id, &mut show) {
                break;
            }
        }
    }
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

    /// Shows what Realtime told of the job, and says whether its rows are to be read: the job is over, whose end is shown with the rows that are
    /// read upon it, as an image's last change may still be on its way; or a part of a row was told whose rest is not known.
    fn hear(&mut self, event: &Event, job: Uuid, show: &mut impl FnMut(Seen<'_>)) -> bool {
        if !event.errors.is_null() {
            return true;
        }
        if self.is_older(&event.record) {
            return false;
        }
        if event.table == "image_generation_jobs" {
            let Some(row) = self.merged::<Job>(&event.record) else { return true };
            if row.status.is_over() {
                return true;
            }
            if self.is_new(job, &row) {
                show(Seen::Job(&row));
            }
        } else {
            let Some(image) = self.merged::<Image>(&event.record) else { return true };
            if self.is_new(image.id, &image) {
                show(Seen::Image(&image));
            }
        }
        false
    }

    /// Whether a later state was read already: what Realtime tells can be on its way for a while.
    fn is_older(&self, record: &Value) -> bool {
        let id = record["id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
        let known = id.and_then(|id| self.rows.get(&id)?["updated_at"].as_str());
        // In UTC and of one form: as texts they stand in the order of time.
        known.zip(record["updated_at"].as_str()).is_some_and(|(known, told)| told < known)
    }

    /// The row as it is after a change. What a change lacks is taken from what is known. Nothing when that does not make a whole row.
    fn merged<T: DeserializeOwned>(&self, record: &Value) -> Option<T> {
        let known = record["id"].as_str()?.parse().ok().and_then(|id: Uuid| self.rows.get(&id));
        let mut row = known.and_then(Value::as_object).cloned().unwrap_or_default();
        row.extend(record.as_object()?.clone());
        serde_json::from_value(Value::Object(row)).ok()
    }

    /// Remembers a row, and says whether it is another state than the one that was shown, not the same with what was not told of it before.
    fn is_new(&mut self, id: Uuid, row: &impl Serialize) -> bool {
        let row = serde_json::to_value(row).unwrap_or_default();
        let is_same = self.rows.get(&id).and_then(Value::as_object).is_some_and(|known| {
            let is_same_state = known.get("updated_at").is_some_and(|at| !at.is_null() && *at == row["updated_at"]);
            known.iter().all(|(name, value)| *value == row[name] || (is_same_state && value.is_null()))
        });
        self.rows.insert(id, row);
        !is_same
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Job {
        let row = json!({
            "id": Uuid::nil(), "user_id": Uuid::nil(), "prompt": "a long text", "slide_prompts": [], "source_paths": ["a"], "slides_from": "prompts", "slide_sources": null,
            "aspect_ratios": ["1:1"], "variants": 1, "style": {}, "variables": {}, "partial_previews": 0, "priority": 0,
            "run_at": "2026-11-25T10:00:00+00:00", "status": "processing", "stage": "fetching", "progress": 0,
            "total_images": 1, "completed_images": 0, "failed_images": 0, "attempt": 1, "cost_usd": 0.0,
            "created_at": "2026-11-25T10:00:00+00:00", "updated_at": "2026-11-25T10:00:00.5+00:00",
        });
        serde_json::from_value(row).expect("it is a row")
    }

    #[test]
    fn what_was_not_told_of_a_state_does_not_make_it_another() {
        let mut known = Known::default();
        let mut row = serde_json::to_value(job()).expect("it is a row");
        assert!(known.is_new(Uuid::nil(), &row));
        row["title"] = json!("as it was all the time");
        assert!(!known.is_new(Uuid::nil(), &row));
        row["title"] = json!("another one in the same transaction");
        assert!(known.is_new(Uuid::nil(), &row));
        row["updated_at"] = json!("2026-11-25T10:00:00.75+00:00");
        assert!(known.is_new(Uuid::nil(), &row));
    }

    fn told(known: &mut Known, record: Value) -> (Vec<(String, i32)>, bool) {
        let event = json!({ "table": "image_generation_jobs", "type": "UPDATE", "record": record });
        let mut shown = Vec::new();
        let over = known.hear(&serde_json::from_value(event).expect("it is an event"), Uuid::nil(), &mut |seen| {
            if let Seen::Job(job) = seen {
                shown.push((job.prompt.clone().unwrap_or_default(), job.progress));
            }
        });
        (shown, over)
    }

    #[test]
    fn a_change_is_shown_once_with_what_it_leaves_out_and_an_older_one_is_not() {
        let mut known = Known::default();
        let change = |progress: i32, updated_at: &str| json!({ "id": Uuid::nil(), "progress": progress, "updated_at": updated_at });
        let later = "2026-11-25T10:00:00.75+00:00";
        assert_eq!(told(&mut known, change(10, later)), (vec![], true), "nothing whole is known yet: it is to be read");
        known.read(&job(), &[], &mut |_| {});
        assert_eq!(told(&mut known, change(10, later)), (vec![("a long text".to_owned(), 10)], false));
        assert_eq!(told(&mut known, change(10, later)), (vec![], false));
        assert_eq!(told(&mut known, change(5, "2026-11-25T10:00:00.6+00:00")), (vec![], false));
        let mut end = change(100, "2026-11-25T10:00:01+00:00");
        end["status"] = json!("completed");
        assert_eq!(told(&mut known, end), (vec![], true), "the end is shown with the rows that are read upon it");
        let cut = json!({ "table": "image_generation_jobs", "type": "UPDATE", "record": change(20, later), "errors": ["Error 413"] });
        let cut = serde_json::from_value(cut).expect("it is an event");
        assert!(known.hear(&cut, Uuid::nil(), &mut |_| {}), "what it leaves out may be null by now: it is to be read");
    }
}
