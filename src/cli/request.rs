//! What a job asks for, as options: for `submit` and for `templates use`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::acting::{self, Acting};
use super::board::Board;
use super::download::{self, download};
use super::ending;
use super::option::{Numbers, format, numbers, origin, pair, ratio};
use super::terminal::{line, print, print_json};
use super::upload::{self, Photo};
use crate::client::{Ended, Image, Job, NewJob, Submitted, follow};
use crate::job::{self, AspectRatio, Format, SlidesFrom};
use crate::supabase::{Caller, Error};

/// What a job asks for, and what to do once it is sent.
#[derive(Args, Clone, Debug)]
pub(super) struct Request {
    /// What to make of the photos
    #[arg(short, long, value_name = "TEXT")]
    prompt: Option<String>,

    /// Text of one slide, added to the prompt; repeat it for a carousel of several
    #[arg(long = "slide", value_name = "TEXT")]
    slides: Vec<String>,

    /// Where the slides come from: prompts (each sees all photos) or sources (a slide for each photo)
    #[arg(long, value_name = "ORIGIN", hide_possible_values = true, value_parser = origin())]
    slides_from: Option<SlidesFrom>,

    /// Which photos one slide sees, by number, for example 1,3; repeat it for each slide
    #[arg(long = "slide-sources", value_name = "NUMBERS", value_parser = numbers)]
    slide_sources: Vec<Numbers>,

    /// Shape of the images: 1:1, 4:5, 9:16, 3:4, 16:9, 3:2, 2:3, or auto for each slide as its own photo; several by comma or repeated
    #[arg(long = "ratio", value_name = "RATIO", value_delimiter = ',', hide_possible_values = true, value_parser = ratio())]
    ratios: Vec<AspectRatio>,

    /// Variants of the whole carousel
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=10))]
    variants: Option<u8>,

    /// A style option, for example mood=warm or colors='["amber", "teal"]'; a value that is JSON counts as JSON
    #[arg(long = "style", value_name = "NAME=VALUE", value_parser = pair)]
    style: Vec<(String, String)>,

    /// A value for {{NAME}} in prompt and slides
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,

    /// What lists show
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,

    /// Provider model; the worker's default when left out
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,

    /// Quality; the worker's default when left out
    #[arg(long, value_name = "QUALITY", value_parser = ["low", "medium", "high", "xhigh", "max", "auto"])]
    quality: Option<String>,

    /// File format of the images; png when left out
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    format: Option<Format>,

    /// Background; the provider's default when left out
    #[arg(long, value_name = "BACKGROUND", value_parser = ["transparent", "opaque", "auto"])]
    background: Option<String>,

    /// Previews to show while an image is made; each is billed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=3))]
    previews: Option<u8>,

    /// Order among one's own jobs, -100 to 100, higher first
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-100..=100))]
    priority: Option<i8>,

    /// Not before this time, with its zone, for example 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+02:00
    #[arg(long, value_name = "TIME", value_parser = job::moment)]
    run_at: Option<OffsetDateTime>,

    /// A text of your own that makes it safe to send the same request again: the first job is found
    #[arg(long, value_name = "TEXT")]
    idempotency_key: Option<String>,

    /// For whom the operator sends it: the id of a user
    #[arg(long, value_name = "USER_ID")]
    user: Option<Uuid>,

    /// Stay until the job is over, and show it live
    #[arg(long = "wait")]
    waits: bool,

    /// Write the finished images below this folder; waits for the end
    #[arg(long, value_name = "DIR")]
    download: Option<PathBuf>,

    /// Print JSON: {"job", "images", "files"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

impl Request {
    /// Uploads the files, makes the job, and waits for its end where that is asked for.
    pub(super) async fn send(self, template: Option<Uuid>, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
        let caller = self.acting.caller()?;
        let owner = acting::owner(&caller, self.user)?;
        let job = self.job(template);
        if let Some(folder) = &self.download {
            download::check(folder)?;
        }
        let photos = Photo::look(files, job.most_sources())?;
        let job = match self.sent_before(&caller, owner).await? {
            Some(job) => job,
            None => self.make(&caller, owner, &photos, job).await?,
        };
        if !self.waits && self.download.is_none() {
            if self.json {
                print_json(&json!({ "job": job, "images": [], "files": [] }))?;
            } else {
                print(job.id)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if !self.json {
            eprintln!("Job {}", job.id);
        }
        tokio::select! {
            code = self.wait(&caller, job.id) => code,
            () = super::end_requested() => {
                eprintln!("The job goes on: carousel watch {}", job.id);
                Ok(ending::interrupted())
            }
        }
    }

    async fn wait(&self, caller: &Caller, id: Uuid) -> anyhow::Result<ExitCode> {
        let mut board = (!self.json).then(Board::new);
        let Ended { job, images } =
            follow(caller, id, |seen| board.iter_mut().for_each(|board| board.show(&seen))).await?;
        let files = match &self.download {
            Some(folder) => download(caller, &images, folder).await?,
            None => Vec::new(),
        };
        if self.json {
            print_json(&json!({ "job": job, "images": images, "files": files }))?;
        } else {
            tell(&job, &images, &files)?;
        }
        Ok(ending::code(job.status))
    }

    /// What is asked for, as far as it is given: what is left out is the template's, or the default.
    fn job(&self, template: Option<Uuid>) -> NewJob {
        let style = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        let numbers: Vec<Vec<u32>> = self.slide_sources.iter().map(|numbers| numbers.0.clone()).collect();
        NewJob {
            template_id: template,
            batch_id: None,
            title: self.title.clone(),
            prompt: self.prompt.clone(),
            slide_prompts: some(&self.slides),
            source_paths: None,
            slides_from: self.slides_from,
            slide_sources: some(&numbers),
            aspect_ratios: some(&self.ratios),
            variants: self.variants.map(i32::from),
            style: some(&self.style)
                .map(|pairs| pairs.iter().map(|(name, text)| (name.clone(), style(text))).collect()),
            variables: some(&self.variables).map(|pairs| pairs.into_iter().collect()),
            model: self.model.clone(),
            quality: self.quality.clone(),
            output_format: self.format,
            background: self.background.clone(),
            partial_previews: self.previews.map(i32::from),
            priority: self.priority.map(i32::from),
            run_at: self.run_at.and_then(|at| at.format(&Rfc3339).ok()),
        }
    }

    /// For whom the operator asks; a person asks for themselves.
    fn on_behalf(caller: &Caller, owner: Uuid) -> Option<Uuid> {
        caller.claimed_user().is_none().then_some(owner)
    }

    /// The job of the same request, when it was sent before.
    async fn sent_before(&self, caller: &Caller, owner: Uuid) -> Result<Option<Job>, Error> {
        let Some(key) = &self.idempotency_key else { return Ok(None) };
        let job = caller.job_by_key(Self::on_behalf(caller, owner), key).await?;
        Ok(job.inspect(told_before))
    }

    /// Uploads and inserts. What was uploaded stays for a day when nothing comes of it: another request may name the same photos.
    async fn make(&self, caller: &Caller, owner: Uuid, photos: &[Photo], mut job: NewJob) -> anyhow::Result<Job> {
        let mut again = false;
        loop {
            let sent = tokio::select! {
                sent = upload::upload(caller, owner, photos, again) => sent,
                () = super::end_requested() => Err(anyhow::anyhow!("interrupted: no job was made")),
            };
            let paths = match sent {
                Ok(paths) => paths,
                Err(error) if !again && error.downcast_ref().is_some_and(is_being_removed) => {
                    again = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !paths.is_empty() {
                job.source_paths = Some(paths);
            }
            match caller.submit(Self::on_behalf(caller, owner), &job, self.idempotency_key.as_deref()).await {
                Ok(Submitted { job, repeated }) => {
                    // The same request, sent twice at once: the other was first.
                    if repeated {
                        told_before(&job);
                    }
                    return Ok(job);
                }
                Err(error) if !again && is_being_removed(&error) => again = true,
                Err(error) => {
                    // Whether the project took it is not known when no answer came.
                    let unknown = matches!(
                        error,
                        Error::Unreachable { .. } | Error::NotUnderstood { .. } | Error::Unavailable { .. }
                    );
                    return Err(error).context(if unknown {
                        "it is not known whether the job was made: look with `carousel jobs list`"
                    } else {
                        "the job was not made"
                    });
                }
            }
        }
    }
}

/// A list that has something in it.
fn some<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn told_before(job: &Job) {
    eprintln!("The same request was sent before: job {}", job.id);
}

/// The last template with such a photo was deleted a while ago, and the object is about to go.
fn is_being_removed(error: &Error) -> bool {
    matches!(error, Error::Refused { code, .. } if code == "source_being_removed")
}

/// Tells a person how a job ended.
pub(super) fn tell(job: &Job, images: &[Image], files: &[PathBuf]) -> anyhow::Result<()> {
    let status = ending::word(job.status);
    print(format!("{status}: {} of {} images, ${:.4}", job.completed_images, job.total_images, job.cost_usd))?;
    if let Some(message) = &job.error_message {
        print(line(message))?;
    }
    let failed = images.iter().filter(|image| image.status == "failed").count();
    if failed > 0 {
        print(format!("{failed} failed: try those again with `carousel jobs retry {}`", job.id))?;
    }
    for file in files {
        print(file.display())?;
    }
    Ok(())
}
