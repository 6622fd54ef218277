//! `carousel jobs`: what was asked for, and how far it is.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::acting::Acting;
use super::board::detail;
use super::ending;
use super::terminal::{line, print, print_json, table};
use crate::client::{Image, Job, JobList, Status};
use crate::job::SlidesFrom;
use crate::supabase::{Caller, Cursor};

/// List, show, cancel, retry and delete jobs
///
/// A person sees their own jobs, the operator everybody's.
#[derive(Args, Debug)]
#[command(after_long_help = ending::codes("Examples:
  carousel jobs list --status failed,partial
  carousel jobs show 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --json | jq .job.error_code
  carousel jobs list --status partial --json | jq -r '.jobs[].id' | xargs -n 1 carousel jobs retry"))]
pub struct Jobs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(List),
    Show(One),
    /// Ask to cancel a job: a waiting one ends at once, a running one soon
    Cancel(One),
    /// Make the images that are not completed once more
    Retry(One),
    /// Delete a job with its images, running or not
    Delete(One),
}

/// List jobs, the newest first
#[derive(Args, Debug)]
struct List {
    /// Only those that stand so: pending, processing, completed, partial, failed, cancelled; several by comma or repeated
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_enum, hide_possible_values = true)]
    status: Vec<Status>,

    /// Only those of this template
    #[arg(long, value_name = "ID")]
    template: Option<Uuid>,

    #[command(flatten)]
    page: Page,

    /// Print JSON: {"jobs", "next"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

/// Which part of a list is wanted.
#[derive(Args, Debug)]
pub(super) struct Page {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) limit: u16,

    /// Go on behind a list: its "next"
    #[arg(long, value_name = "NEXT")]
    pub(super) after: Option<Cursor>,
}

impl Page {
    pub(super) fn limit(&self) -> usize {
        usize::from(self.limit)
    }
}

/// Show a job and its images
#[derive(Args, Debug)]
struct One {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: Uuid,

    /// Print JSON: {"job", "images"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

impl Jobs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(one) => one.show().await,
            Command::Cancel(one) => {
                let job = one.acting.caller()?.cancel_job(one.id).await?;
                let words = match job.cancel_requested_at.is_some() {
                    _ if job.status == Status::Cancelled => "is cancelled",
                    true if !job.status.is_over() => "is being cancelled",
                    _ => "is over: there is nothing to cancel",
                };
                one.tell(&job, words)
            }
            Command::Retry(one) => {
                let job = one.acting.caller()?.retry_job(one.id).await?;
                let words = match job.status {
                    Status::Pending => "waits to be made once more",
                    Status::Processing => "is at work already",
                    _ => "is complete: there is nothing to make once more",
                };
                one.tell(&job, words)
            }
            Command::Delete(one) => {
                let job = one.acting.caller()?.delete_job(one.id).await?;
                one.tell(&job, "is deleted")
            }
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let caller = self.acting.caller()?;
        let list = JobList { status: self.status, template_id: self.template, ..JobList::default() };
        let page = caller.jobs(&list, self.page.limit(), self.page.after.as_ref()).await?;
        let next = page.next.map(|next| next.to_string());
        if self.json {
            print_json(&json!({ "jobs": page.rows, "next": next }))?;
            return Ok(());
        }
        let rows: Vec<Vec<String>> = page.rows.iter().map(|job| cells(&caller, job)).collect();
        table(&["ID", "STATUS", "DONE", "IMAGES", "COST", "MADE", whose(&caller)], &rows)?;
        more(next.as_deref());
        Ok(())
    }
}

fn cells(caller: &Caller, job: &Job) -> Vec<String> {
    // A template that a job made has its first words for a name.
    let title = job.title.as_ref().or(job.template.as_ref().map(|template| &template.name));
    vec![
        job.id.to_string(),
        job.status.as_str().to_owned(),
        format!("{} %", job.progress),
        format!("{}/{}", job.completed_images, job.total_images),
        format!("${:.4}", job.cost_usd),
        moment(&job.created_at),
        named(caller, job.user_id, title.map_or("", String::as_str)),
    ]
}

/// The last heading of a list: the operator sees whose a row is.
pub(super) fn whose(caller: &Caller) -> &'static str {
    if caller.claimed_user().is_some() { "TITLE" } else { "USER, TITLE" }
}

/// The last cell of a list.
pub(super) fn named(caller: &Caller, owner: Uuid, title: &str) -> String {
    if caller.claimed_user().is_some() { title.to_owned() } else { format!("{owner} {title}") }
}

/// A time to the minute.
pub(super) fn moment(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// Says how the list goes on.
pub(super) fn more(next: Option<&str>) {
    if let Some(next) = next {
        eprintln!("There are more: --after {next}");
    }
}

impl One {
    async fn show(self) -> anyhow::Result<()> {
        let (job, images) = self.acting.caller()?.job_with_images(self.id).await?;
        if self.json {
            print_json(&json!({ "job": job, "images": images }))?;
            return Ok(());
        }
        describe(&job, &images)
    }

    fn tell(&self, job: &Job, words: &str) -> anyhow::Result<()> {
        if self.json {
            print_json(&json!({ "job": job, "images": [] }))?;
        } else {
            print(format!("{} {words}", job.id))?;
        }
        Ok(())
    }
}

/// Variables with their values.
pub(super) fn values(variables: Option<&BTreeMap<String, String>>) -> String {
    variables.into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

/// The slides in a line: their words, and where they come from if that is not the words alone.
pub(super) fn slides(prompts: Option<&[String]>, from: SlidesFrom, sources: Option<&[Vec<u32>]>) -> String {
    let words = prompts.unwrap_or_default().join(" | ");
    let of = |numbers: &Vec<u32>| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    match (from, sources) {
        (SlidesFrom::Sources, _) if words.is_empty() => "one for each photo".to_owned(),
        (SlidesFrom::Sources, _) => format!("one for each photo: {words}"),
        (SlidesFrom::Prompts, None) => words,
        (SlidesFrom::Prompts, Some(sources)) => {
            format!("{words} (of photos {})", sources.iter().map(of).collect::<Vec<_>>().join(" | "))
        }
    }
}

fn describe(job: &Job, images: &[Image]) -> anyhow::Result<()> {
    let ratios: Vec<&str> = job.aspect_ratios.iter().map(|ratio| ratio.as_str()).collect();
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let version = job.template_version.map(|version| format!(", version {version}")).unwrap_or_default();
    let template = job.template_id.map(|id| format!("{id}{version}")).unwrap_or_default();
    let error = job.error_code.as_ref().map(|code| format!("{code}: {}", some(&job.error_message))).unwrap_or_default();
    for (name, value) in [
        ("Job", job.id.to_string()),
        ("Title", some(&job.title)),
        ("Status", job.status.as_str().to_owned()),
        ("Progress", format!("{} %, {}", job.progress, some(&job.message))),
        ("Error", error),
        ("Images", format!("{} of {}, {} failed", job.completed_images, job.total_images, job.failed_images)),
        ("Cost", format!("${:.4}", job.cost_usd)),
        ("Prompt", some(&job.prompt)),
        ("Slides", slides(job.slide_prompts.as_deref(), job.slides_from, job.slide_sources.as_deref())),
        ("Variants", job.variants.to_string()),
        ("Ratios", ratios.join(", ")),
        ("Values", values(job.variables.as_ref())),
        ("Template", template),
        ("Owner", job.user_id.to_string()),
        ("Made", moment(&job.created_at)),
        ("Finished", job.finished_at.as_deref().map(moment).unwrap_or_default()),
    ] {
        if !value.is_empty() {
            print(format!("{name:<10} {}", line(&value)))?;
        }
    }
    if !images.is_empty() {
        print("")?;
        let rows: Vec<Vec<String>> = images
            .iter()
            .map(|image| {
                let shape = image.aspect_ratio.to_string();
                vec![image.variant.to_string(), image.slide.to_string(), shape, image.status.clone(), detail(image)]
            })
            .collect();
        table(&["VARIANT", "SLIDE", "RATIO", "STATUS", ""], &rows)?;
    }
    Ok(())
}
