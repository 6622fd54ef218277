//! `carousel api`: the HTTP API alone.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use futures::FutureExt;
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;

use crate::checks::ready;
use crate::config;
use crate::http::{self, Door, Readiness};
use crate::supabase::Project;

/// Serve the HTTP API, without a worker
///
/// Needs the project's address and its publishable key, and no secret: every request acts with its caller's own token. A worker elsewhere makes the
/// jobs. SIGTERM or Ctrl-C ends it when the requests that are under way are answered.
#[derive(Args, Debug)]
#[command(
    mut_arg("supabase_secret_key", |key| key.hide(true)),
    mut_arg("supabase_service_role_key", |key| key.hide(true))
)]
pub struct Api {
    #[command(flatten)]
    supabase: config::Supabase,
    #[command(flatten)]
    http: config::Http,
}

impl Api {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let project = self.supabase.project()?;
        let settings = self.http.settings()?;
        let listener = listen(&self.http).await?;
        project.check().await.context("the project can't be used: check SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY")?;
        let end = CancellationToken::new();
        let readiness = readiness(project.clone());
        let Door { router, tasks } = http::door(project, settings, readiness, end.clone());
        let ended = async {
            super::end_requested().await;
            end.cancel();
        };
        http::serve(listener, router, tasks, ended).await;
        Ok(())
    }
}

/// Looks at what requests need when there is no worker beside them.
pub(super) fn readiness(project: Project) -> Readiness {
    Arc::new(move || {
        let project = project.clone();
        async move { vec![ready::api(&project).await] }.boxed()
    })
}

/// Takes the address that the API is to have.
pub(super) async fn listen(http: &config::Http) -> anyhow::Result<TcpListener> {
    let unusable = || format!("{} can't be listened at: name another by --listen (CAROUSEL_LISTEN)", http.listen);
    let mut addresses: Vec<SocketAddr> = lookup_host(&http.listen).await.with_context(unusable)?.collect();
    // Where a name has both, callers who know no IPv6 are the ones who would find nobody.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let listener = TcpListener::bind(&addresses[..]).await.with_context(unusable)?;
    tracing::info!(address = %listener.local_addr()?, "the HTTP API listens");
    Ok(listener)
}
