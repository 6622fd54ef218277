//! `carousel watch`: a job, live.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::acting::Acting;
use super::board::Board;
use super::download::{self, download};
use super::ending;
use super::request;
use super::terminal::print_json;
use crate::client::{Ended, Seen, follow};

/// Show a job live until it is over, and end with a code that says how
///
/// A bar for the job and a line an image on a terminal, plain lines on standard error elsewhere. Changes come through Realtime; when that fails, the rows
/// are read every few seconds. A job that is over already is shown as it is.
///
/// With --json, each change is one line: {"job": {...}} or {"image": {...}}, the row as it is then. The last line is the job's.
#[derive(Args, Debug)]
#[command(after_long_help = ending::codes("Examples:
  carousel watch 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --download pictures
  carousel watch $id --json | jq -r 'select(.image.status == \"completed\") | .image.storage_path'"))]
pub struct Watch {
    /// The job's id
    #[arg(value_name = "JOB")]
    id: Uuid,

    /// Write the finished images below this folder at the end
    #[arg(long, value_name = "DIR")]
    download: Option<PathBuf>,

    /// Print a line of JSON for each change
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    acting: Acting,
}

impl Watch {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let caller = self.acting.caller()?;
        if let Some(folder) = &self.download {
            download::check(folder)?;
            download::check(&folder.join(self.id.to_string()))?;
        }
        let mut board = (!self.json).then(Board::new);
        let mut written = Ok(());
        let show = |seen: Seen<'_>| match &mut board {
            Some(board) => board.show(&seen),
            None if written.is_ok() => {
                written = print_json(&match seen {
                    Seen::Job(job) => json!({ "job": job }),
                    Seen::Image(image) => json!({ "image": image }),
                });
            }
            None => {}
        };
        let Ended { job, images, .. } = follow(&caller, self.id, show).await?;
        written?;
        let files = match &self.download {
            Some(folder) => download(&caller, &images, folder).await?,
            None => Vec::new(),
        };
        if !self.json {
            request::tell(&job, &images, &files)?;
        }
        Ok(ending::code(job.status))
    }
}
