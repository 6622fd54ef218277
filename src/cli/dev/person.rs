//! A signed-in person, doing what a browser does with supabase-js: nothing here has more rights than a frontend.

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::project::Project;

/// A demo user of the project, with their own token.
pub(super) struct Person {
    http: reqwest::Client,
    url: String,
    key: String,
    /// Access token for Realtime as well.
    pub(super) token: String,
    /// First segment of every path of theirs.
    pub(super) id: Uuid,
}

/// Makes the demo user of a project on this machine, unless they exist.
pub(super) async fn make_demo(project: &Project) -> anyhow::Result<()> {
    match project.demo() {
        Some(demo) => make(&client()?, project, demo.email, demo.password).await,
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

fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().user_agent(concat!("carousel-dev/", env!("CARGO_PKG_VERSION"))).build()?)
}

impl Person {
    /// Signs a demo user in, making them first where they don't exist.
    pub(super) async fn sign_in(project: &Project) -> anyhow::Result<Self> {
        let http = client()?;
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
        Ok(Self {
            http,
            url: project.url.clone(),
            key: project.publishable_key.clone(),
            token: session["access_token"].as_str().context("the session has no token")?.to_owned(),
            id: session["user"]["id"].as_str().context("the session has no user")?.parse()?,
        })
    }

    /// Uploads a photo as it is and returns its path in the bucket.
    pub(super) async fn upload(&self, name: &str, mime: &str, bytes: Vec<u8>) -> anyhow::Result<String> {
        let path = format!("{}/sources/{}-{name}", self.id, Uuid::new_v4());
        let answer = self
            .http
            .post(format!("{}/storage/v1/object/generated-carousels/{path}", self.url))
            .header("apikey", &self.key)
            .bearer_auth(&self.token)
            .header("content-type", mime)
            .body(bytes)
            .send()
            .await?;
        if !answer.status().is_success() {
            bail!("the photo {name} can't be uploaded: {}", told(answer).await);
        }
        Ok(path)
    }

    /// Inserts a job and returns its row.
    pub(super) async fn submit(&self, job: &Value) -> anyhow::Result<Value> {
        let request =
            self.rest().from("image_generation_jobs").auth(&self.token).insert(job.to_string()).select("*").single();
        rows(request).await.context("the job can't be inserted")
    }

    /// The job's row as it is now.
    pub(super) async fn job(&self, id: &str) -> anyhow::Result<Value> {
        let request = self.rest().from("image_generation_jobs").auth(&self.token).select("*").eq("id", id).single();
        rows(request).await.context("the job can't be read")
    }

    /// The job's images as they are now, in the order in which a person looks at them.
    pub(super) async fn images(&self, job: &str) -> anyhow::Result<Vec<Value>> {
        let order = "variant.asc,aspect_ratio.asc,slide.asc";
        let table = self.rest().from("generated_carousel_images");
        let request = table.auth(&self.token).select("*").eq("job_id", job).order(order);
        let rows = rows(request).await.context("the images can't be read")?;
        Ok(rows.as_array().cloned().unwrap_or_default())
    }

    /// The object at `path`.
    pub(super) async fn download(&self, path: &str) -> anyhow::Result<Bytes> {
        let answer = self
            .http
            .get(format!("{}/storage/v1/object/authenticated/generated-carousels/{path}", self.url))
            .header("apikey", &self.key)
            .bearer_auth(&self.token)
            .send()
            .await?;
        if !answer.status().is_success() {
            bail!("{path} can't be downloaded: {}", told(answer).await);
        }
        Ok(answer.bytes().await?)
    }

    fn rest(&self) -> postgrest::Postgrest {
        postgrest::Postgrest::new(format!("{}/rest/v1", self.url)).insert_header("apikey", &self.key)
    }
}

/// The rows that PostgREST answers. The crate reports a refusal as a success: the status decides.
async fn rows(request: postgrest::Builder) -> anyhow::Result<Value> {
    let answer = request.execute().await?;
    let good = answer.status().is_success();
    let text = answer.text().await?;
    if !good {
        bail!("{text}");
    }
    Ok(serde_json::from_str(&text)?)
}

async fn told(answer: reqwest::Response) -> String {
    let status = answer.status();
    format!("{status} {}", answer.text().await.unwrap_or_default())
}
