//! `carousel carousels`: what was made.

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::acting::Acting;
use super::download::{self, download};
use super::ending;
use super::jobs::{Page, moment, more};
use super::terminal::{print, print_json, table};
use crate::client::{Carousel, Image};
use crate::supabase::Error;

/// List carousels and download their images
///
/// A carousel is the slides of one variant of a job in one shape. A person sees their own, the operator everybody's.
#[derive(Args, Debug)]
#[command(after_long_help = ending::codes("Examples:
  carousel carousels list --job 1b4e28ba-2fa1-11d2-883f-0016d3cca427
  carousel carousels download 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --dir pictures"))]
pub struct Carousels {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(List),
    Download(Download),
}

/// List carousels, the newest first
#[derive(Args, Debug)]
struct List {
    /// Only those of this job
    #[arg(long, value_name = "JOB", conflicts_with_all = ["limit", "after"])]
    job: Option<Uuid>,

    #[command(flatten)]
    page: Page,

    /// Print JSON: {"carousels", "next"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

/// Download the finished images of a carousel, or of a whole job
///
/// Writes {DIR}/{job}/variant-1_4x5_slide-2.png and so on. Each image is checked against its row, written beside its place and then moved
/// there: what has its name is whole. A file that is there already is replaced.
#[derive(Args, Debug)]
struct Download {
    /// Id of a carousel, or of a job for all of its carousels
    #[arg(value_name = "ID")]
    id: Uuid,

    /// Folder below which the images are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Print JSON: {"files"}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

impl Carousels {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Download(download) => download.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let caller = self.acting.caller()?;
        let (carousels, next) = match self.job {
            Some(job) => (caller.carousels_of(job).await?, None),
            None => {
                let page = caller.carousels(self.page.limit(), self.page.after.as_ref()).await?;
                (page.rows, page.next.map(|next| next.to_string()))
            }
        };
        if self.json {
            print_json(&json!({ "carousels": carousels, "next": next }))?;
            return Ok(());
        }
        let cells = |carousel: &Carousel| {
            vec![
                carousel.id.to_string(),
                carousel.job_id.to_string(),
                carousel.variant.to_string(),
                carousel.aspect_ratio.to_string(),
                format!("{}/{}", carousel.completed_slides, carousel.slides),
                if carousel.is_favorite { "*" } else { "" }.to_owned(),
                moment(&carousel.created_at),
            ]
        };
        let rows: Vec<Vec<String>> = carousels.iter().map(cells).collect();
        table(&["ID", "JOB", "VARIANT", "RATIO", "SLIDES", "FAVORITE", "MADE"], &rows)?;
        more(next.as_deref());
        Ok(())
    }
}

impl Download {
    async fn run(self) -> anyhow::Result<()> {
        let caller = self.acting.caller()?;
        download::check(&self.dir)?;
        let of_carousel =
            caller.from("generated_carousel_images").eq("carousel_id", self.id.to_string()).order("slide.asc");
        let mut images: Vec<Image> = caller.rows(of_carousel).await?;
        if images.is_empty() {
            images = caller.images(self.id).await?;
        }
        if images.is_empty() {
            return Err(Error::NotFound.into());
        }
        let files = download(&caller, &images, &self.dir).await?;
        ensure!(!files.is_empty(), "none of its images is finished");
        if self.json {
            print_json(&json!({ "files": files }))?;
        } else {
            files.iter().try_for_each(|file| print(file.display()))?;
        }
        Ok(())
    }
}
