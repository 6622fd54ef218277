//! `carousel dev`: everything on one machine, and a sample job to see it work.

mod app;
mod person;
mod project;
mod sample;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use tokio::sync::oneshot;

use super::end_requested;
use super::worker::WorkerCommand;
use app::App;
use project::Project;

/// Try everything on this machine: a local Supabase, the worker and a sample job
///
/// Starts PostgreSQL, PostgREST and stand-ins for auth, storage and realtime (installed by npm at the first start), applies the schema,
/// starts the worker, signs in a demo user, uploads photos, inserts a job and shows it live. Then it keeps running for your frontend, and serves pages to
/// try it with in a browser, with the HTTP API beside them.
///
/// Without OPENAI_API_KEY a stand-in draws the pictures, and nothing is paid. With SUPABASE_URL, its keys and DATABASE_URL set, it uses that
/// project (for example one of `supabase start`) and starts no Supabase of its own.
#[derive(Args, Debug)]
pub struct Dev {
    /// Port of the local Supabase on 127.0.0.1; 0 for any free one
    #[arg(long, env = "CAROUSEL_PORT", value_name = "PORT", default_value_t = 54321)]
    port: u16,

    /// Port of the pages and the HTTP API on 127.0.0.1; 0 for any free one
    #[arg(long, env = "CAROUSEL_APP_PORT", value_name = "PORT", default_value_t = 54380)]
    app_port: u16,

    /// Folder with the local Supabase's data
    #[arg(long, env = "CAROUSEL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Begin with an empty local Supabase
    #[arg(long)]
    reset: bool,

    /// End after the sample job, with 0 if all went well
    #[arg(long)]
    once: bool,

    /// Insert no sample job
    #[arg(long, conflicts_with = "once")]
    no_sample: bool,

    /// Folder for the sample job's images
    #[arg(long, value_name = "DIR", default_value = "carousel-images")]
    output: PathBuf,

    #[command(flatten)]
    worker: WorkerCommand,
}

impl Dev {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        // A taken port is told before anything is installed or started.
        let app = match self.once {
            true => None,
            false => Some(App::bind(self.app_port).await?),
        };
        let project = tokio::select! {
            project = Project::open(&self) => project?,
            () = end_requested() => return Ok(()),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let command = project.worker.clone();
        let mut worker = tokio::spawn(async move { command.work(async { drop(stopped.await) }).await });

        let shown = tokio::select! {
            shown = self.show(&project, app) => shown,
            ended = &mut worker => match ended.context("the worker panicked")? {
                Ok(()) => bail!("the worker ended by itself"),
                Err(error) => Err(error.context("the worker ended")),
            },
            () = end_requested() => Ok(()),
        };
        if !worker.is_finished() {
            drop(stop);
            worker.await.context("the worker panicked")??;
        }
        project.close().await;
        shown
    }

    async fn show(&self, project: &Project, app: Option<App>) -> anyhow::Result<()> {
        let served = match app {
            None => None,
            Some(app) => Some(app.serve(app::pages(project).await?.merge(app::api(project)?))?),
        };
        if !self.no_sample {
            sample::run(project, &self.output).await?;
        }
        let Some(served) = served else { return Ok(()) };
        project.explain(&served.url);
        std::future::pending().await
    }
}
