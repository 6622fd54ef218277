//! The origin that a person opens in a browser, beside the project's own: the pages and the HTTP API.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::super::api::readiness;
use super::person;
use super::project::Project;
use crate::http::{self, Door};
use crate::pages;
use carousel_local::install;
use carousel_local::stack::listener::{Served, by_own_name, listen};

/// A port that was taken for the app.
pub(super) struct App(TcpListener);

impl App {
    /// Takes the port; 0 lets the system choose.
    pub(super) async fn bind(port: u16) -> anyhow::Result<Self> {
        listen(port, "--app-port").await.map(Self)
    }

    /// Serves `router` until what it returns is dropped.
    pub(super) fn serve(self, router: Router) -> anyhow::Result<Served> {
        Served::start(self.0, by_own_name(router))
    }
}

/// The pages for `project`. Makes the demo user whom they offer.
pub(super) async fn pages(project: &Project) -> anyhow::Result<Router> {
    let packages = pages::install(&install::home(), |step| eprintln!("{step}")).await?;
    person::make_demo(project).await?;
    pages::router(pages::Settings {
        url: project.url.clone(),
        publishable_key: project.publishable_key.clone(),
        model: project.worker.deployment.provider.model.clone(),
        quality: project.worker.deployment.provider.quality.clone(),
        demo: project.demo(),
        packages,
    })
}

/// The HTTP API for `project`.
pub(super) fn api(project: &Project) -> anyhow::Result<Router> {
    let project = project.worker.deployment.supabase.project_by(project.publishable_key.clone().into())?;
    let settings = http::Settings { origins: Vec::new(), patience: Duration::from_secs(30), metrics_token: None };
    let readiness = readiness(project.clone());
    // What goes on when its connection has gone ends with the process.
    let Door { router, tasks: _ } = http::door(project, settings, readiness, CancellationToken::new());
    Ok(router)
}
