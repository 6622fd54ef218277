//! `carousel submit`: photos and words in, a job out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use uuid::Uuid;

use super::ending;
use super::request::Request;

/// Upload photos and insert a job, as a frontend does
///
/// Prints the job's id. The files are looked at before any is sent, and uploaded as they are; the same photo is uploaded once, and finds the template
/// that it made the first time. What is left out is taken from the template, or has the default of the table. What no
/// job comes of is removed after a day.
///
/// As a person with SUPABASE_ACCESS_TOKEN and SUPABASE_PUBLISHABLE_KEY, or as the operator with SUPABASE_SECRET_KEY and --user.
#[derive(Args, Debug)]
#[command(after_long_help = ending::codes("Examples:
  carousel submit desk.jpg lamp.jpg -p 'One calm story' --slide 'The desk' --slide 'The lamp' --ratio 1:1,4:5 --variants 2
  carousel submit road.jpg coffee.jpg night.jpg -p 'As a watercolour' --slides-from sources --ratio auto
  carousel submit --template 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --var product=lamp --wait --download pictures
  carousel submit desk.jpg -p 'A poster' --json | jq -r .job.id"))]
pub struct Submit {
    /// Source images: PNG, JPEG or WebP, at most 16 of 50 MB, or 100 if no slide sees more than 16
    #[arg(value_name = "FILE", required_unless_present = "template")]
    files: Vec<PathBuf>,

    /// Template to take from what is left out
    #[arg(long, value_name = "ID")]
    template: Option<Uuid>,

    #[command(flatten)]
    request: Request,
}

impl Submit {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        self.request.send(self.template, &self.files).await
    }
}
