//! A signed-in person, doing what a browser does with supabase-js: nothing here has more rights than a frontend.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use super::project::Project;
use crate::outgoing;
use crate::supabase::Caller;

/// A demo user of the project, with their own token.
pub(super) struct Person {
    pub(super) caller: Caller,
    /// First segment of every path of theirs.
    pub(super) id: Uuid,
}

/// Makes the demo user of a project on this machine, unless they exist.
pub(super) async fn make_demo(project: &Project) -> anyhow::Result<()> {
    match project.demo() {
        Some(demo) => make(&client(project)?, project, demo.email, demo.password).await,
        None => Ok(()),
    }
}

async fn make(http: &reqwest::Client, project: &Project, email: &str, password: &str) -> anyhow::Result<()> {
    let made = http
        .post(format!("{}/auth/v1/admin/users", project.url))
        .header("apikey", &project.secret_key)
        .bearer_auth(&project.secret_key)
        .json(&json!({ "email": email, "password": password, "email_confirm": true }))
        .send()
        .await
        .with_context(|| format!("{} can't be reached", project.url))?;
    // 422: the demo user of an earlier start.
    if !made.status().is_success() && made.status() != reqwest::StatusCode::UNPROCESSABLE_ENTITY {
        bail!("the demo user can't be made: {}", told(made).await);
    }
    Ok(())
}

fn client(project: &Project) -> anyhow::Result<reqwest::Client> {
    Ok(outgoing::client(&project.worker.deployment.supabase.certificates()?)?.build()?)
}

impl Person {
    /// Signs a demo user in, making them first where they don't exist.
    pub(super) async fn sign_in(project: &Project) -> anyhow::Result<Self> {
        let http = client(project)?;
        let (email, password) = match project.demo() {
            Some(demo) => (demo.email.to_owned(), demo.password.to_owned()),
            None => (format!("carousel-demo-{}@example.com", Uuid::new_v4().simple()), Uuid::new_v4().to_string()),
        };
        make(&http, project, &email, &password).await?;
        let session = http
            .post(format!("{}/auth/v1/token?grant_type=password", project.url))
            .header("apikey", &project.publishable_key)
            .json(&json!({ "email": email, "password": password }))
            .send()
            .await?;
        if !session.status().is_success() {
            bail!("the demo user can't sign in: {}", told(session).await);
        }
        let session: Value = session.json().await?;
        let token = session["access_token"].as_str().context("the session has no token")?;
        Ok(Self {
            caller: project
                .worker
                .deployment
                .supabase
                .project_by(project.publishable_key.clone().into())?
                .person(token)?,
            id: session["user"]["id"].as_str().context("the session has no user")?.parse()?,
        })
    }
}

async fn told(answer: reqwest::Response) -> String {
    let status = answer.status();
    format!("{status} {}", answer.text().await.unwrap_or_default())
}
