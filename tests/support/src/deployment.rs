//! A whole deployment for one test: a project with its API, the provider's stand-in, and workers in this process.

use std::sync::Arc;
use std::time::Duration;

use carousel::listener::Listener;
use carousel::pipeline::{self, Pipeline};
use carousel::provider::{self, PriceTable, Provider};
use carousel::queue::{self, Queue};
use carousel::supabase::storage::{self, Storage};
use carousel::supabase::{self, Change, Subscription};
use carousel::worker;
use carousel_local::openai::OpenAi;
use carousel_local::stack::Stack;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::project::Project;

/// Key that the provider's stand-in accepts.
pub const OPENAI_KEY: &str = "sk-test";

pub struct Deployment {
    pub project: Project,
    pub stack: Stack,
    pub openai: OpenAi,
    pub http: reqwest::Client,
    /// How long a worker bears a provider that says nothing; a call may take ten times that.
    pub silence: Duration,
    folder: TempDir,
}

/// A worker in this process; dropping it kills it as a crash would.
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), worker::HelperEnded>>,
}

impl Running {
    /// Asks the worker to drain and waits until it has ended.
    pub async fn drain(mut self) {
        drop(self.stop.take());
        self.ended().await.expect("nothing beside the worker's loop ends before it");
    }

    /// Waits until the worker has ended.
    pub async fn ended(&mut self) -> Result<(), worker::HelperEnded> {
        (&mut self.task).await.expect("the worker ends without a panic")
    }

    /// Asks the worker to drain, and does not wait.
    pub fn ask_to_drain(&mut self) {
        drop(self.stop.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Deployment {
    /// A deployment without a worker, whose provider answers at once.
    pub async fn new() -> Self {
        Self::with(OpenAi::new(OPENAI_KEY)).await
    }

    pub async fn with(openai: OpenAi) -> Self {
        Self::on(Project::new().await, openai).await
    }

    /// A deployment of a project that is there already.
    pub async fn on(project: Project, openai: OpenAi) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let shared = project.shared;
        let stack =
            Stack::on(&shared.runtime, Arc::clone(&shared.server), &project.database, folder.path(), openai.clone())
                .await
                .expect("the stack starts");
        Self { project, stack, openai, http: reqwest::Client::new(), silence: Duration::from_secs(2), folder }
    }

    /// A folder that goes with the deployment.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What a worker of this deployment is made with; a test may change it before [`Deployment::start`].
    pub fn settings(&self) -> (pipeline::Settings, worker::Settings) {
        let pipeline = pipeline::Settings {
            model: "gpt-image-2".to_owned(),
            models: vec!["gpt-image-2-2026-04-21".to_owned()],
            quality: "low".to_owned(),
            prices: PriceTable::default(),
            image_tries: 3,
            rated: false,
            calls: 16,
            calls_per_job: 4,
            transfers: 8,
            spool: self.folder.path().to_owned(),
        };
        let worker = worker::Settings {
            name: "test".to_owned(),
            jobs: 4,
            job_attempts: 3,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(30),
        };
        (pipeline, worker)
    }

    /// Starts a worker with the usual settings.
    pub fn worker(&self) -> Running {
        let (pipeline, worker) = self.settings();
        self.start(pipeline, worker)
    }

    /// Starts a worker, with the worker's own role and the secret key.
    pub fn start(&self, pipeline: pipeline::Settings, settings: worker::Settings) -> Running {
        self.start_beside(&self.stack, pipeline, settings)
    }

    /// [`Deployment::start`] with the API of `stack`, which may be another deployment's.
    pub fn start_beside(&self, stack: &Stack, pipeline: pipeline::Settings, settings: worker::Settings) -> Running {
        let database: tokio_postgres::Config = self.project.worker_url().parse().expect("it is a connection string");
        let connect = queue::Settings { database: database.clone(), certificates: Vec::new(), connections: 4 };
        let url: url::Url = stack.url().parse().expect("it is a URL");
        let storage = Storage::new(storage::Settings {
            url: url.clone(),
            certificates: Vec::new(),
            secret_key: stack.secret_key().to_owned().into(),
            bucket: "generated-carousels".to_owned(),
            connect_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(60),
        })
        .map(Arc::new)
        .expect("a Storage client can be made");
        let provider = Provider::new(provider::Settings {
            base_url: self.stack.openai_url().expect("the stand-in runs").parse().expect("it is a URL"),
            certificates: Vec::new(),
            api_key: OPENAI_KEY.to_owned().into(),
            auth_header: "authorization".to_owned(),
            query: None,
            connect_timeout: Duration::from_secs(5),
            silence_timeout: self.silence,
            total_timeout: 10 * self.silence,
            max_answer_bytes: 20 << 20,
            url_hosts: Vec::new(),
        })
        .expect("a provider client can be made");
        let worker = worker::Worker {
            queue: Queue::new(&connect).expect("a pool can be made"),
            renewals: Queue::new(&queue::Settings { connections: 1, ..connect }).expect("a pool can be made"),
            listener: Listener::new(database, queue::tls(&[]).expect("TLS can be set up")),
            storage: Arc::clone(&storage),
            api: supabase::Project::new(&url, stack.secret_key().to_owned().into(), &[])
                .expect("a client can be made")
                .key_holder(),
            pipeline: Arc::new(Pipeline::new(storage, Arc::new(provider), pipeline).expect("there can be a spool")),
            settings,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(worker.run(async { drop(stopped.await) }));
        Running { stop: Some(stop), task }
    }

    /// A signed-in person with their token.
    pub async fn person(&self) -> Person<'_> {
        let email = format!("{}@example.com", Uuid::new_v4());
        let session: Value = self
            .http
            .post(format!("{}/auth/v1/signup", self.stack.url()))
            .header("apikey", self.stack.publishable_key())
            .json(&json!({ "email": email, "password": "correct horse" }))
            .send()
            .await
            .expect("auth answers")
            .json()
            .await
            .expect("it answers JSON");
        let id = session["user"]["id"].as_str().unwrap_or_else(|| panic!("no user: {session}"));
        let token = session["access_token"].as_str().expect("a session has a token").to_owned();
        Person { deployment: self, id: id.parse().expect("an id is a uuid"), token }
    }
}

/// A person who does what a frontend does.
pub struct Person<'a> {
    pub deployment: &'a Deployment,
    pub id: Uuid,
    pub token: String,
}

impl Person<'_> {
    /// Uploads `bytes` under `sources/` and returns the path.
    pub async fn upload(&self, name: &str, mime: &str, bytes: Vec<u8>) -> String {
        let path = format!("{}/sources/{}-{name}", self.id, Uuid::new_v4());
        let stack = &self.deployment.stack;
        let answer = self
            .deployment
            .http
            .post(format!("{}/storage/v1/object/generated-carousels/{path}", stack.url()))
            .header("apikey", stack.publishable_key())
            .bearer_auth(&self.token)
            .header("content-type", mime)
            .body(bytes)
            .send()
            .await
            .expect("Storage answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
        path
    }

    /// A small genuine photo, uploaded.
    pub async fn photo(&self) -> String {
        self.upload("photo.png", "image/png", picture()).await
    }

    /// Sends a request to the rows' API and returns status and answer.
    pub async fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let stack = &self.deployment.stack;
        let method = method.parse().expect("it is a method");
        let mut request = self.deployment.http.request(method, format!("{}/rest/v1/{path}", stack.url()));
        request = request
            .header("apikey", stack.publishable_key())
            .bearer_auth(&self.token)
            .header("prefer", "return=representation");
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.expect("PostgREST answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Inserts a job and returns its id.
    pub async fn submit(&self, job: &Value) -> String {
        let (status, rows) = self.rest("POST", "image_generation_jobs", Some(job)).await;
        assert_eq!(status, 201, "{rows}");
        rows[0]["id"].as_str().expect("a job has an id").to_owned()
    }

    pub async fn job(&self, id: &str) -> Value {
        let (_, mut rows) = self.rest("GET", &format!("image_generation_jobs?id=eq.{id}"), None).await;
        rows[0].take()
    }

    pub async fn images(&self, job: &str) -> Vec<Value> {
        let order = "variant,slide,aspect_ratio";
        let (_, rows) =
            self.rest("GET", &format!("generated_carousel_images?job_id=eq.{job}&order={order}"), None).await;
        rows.as_array().cloned().unwrap_or_default()
    }

    /// The object at `path`, as its owner.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let stack = &self.deployment.stack;
        let url = format!("{}/storage/v1/object/authenticated/generated-carousels/{path}", stack.url());
        let request = self.deployment.http.get(url).header("apikey", stack.publishable_key()).bearer_auth(&self.token);
        let answer = request.send().await.expect("Storage answers").error_for_status().expect("the object is there");
        answer.bytes().await.expect("it can be read").to_vec()
    }

    /// Waits until the job is over, by listening to the row as the database changes it.
    pub async fn over(&self, id: &str) -> Value {
        self.until(id, |job| {
            ["completed", "partial", "failed", "cancelled"].iter().any(|status| job["status"] == *status)
        })
        .await
    }

    /// Listens to the rows of a table, as a browser does.
    pub async fn changes(&self, change: Change) -> Subscription {
        let stack = &self.deployment.stack;
        let url = stack.url().parse().expect("it is a URL");
        let project =
            supabase::Project::new(&url, stack.publishable_key().to_owned().into(), &[]).expect("it can be reached");
        let caller = project.person(&self.token).expect("it is a token");
        caller.changes(&[change]).await.expect("Realtime answers")
    }

    /// Waits until the job's row is as `wanted`, looking at each change of it that Realtime shows.
    pub async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let change = Change { table: "image_generation_jobs".to_owned(), filter: Some(format!("id=eq.{id}")) };
        let mut changes = self.changes(change).await;
        let waiting = async {
            loop {
                let job = self.job(id).await;
                if wanted(&job) {
                    return job;
                }
                changes.next().await.expect("the connection holds");
            }
        };
        let patience = Duration::from_secs(180);
        match tokio::time::timeout(patience, waiting).await {
            Ok(job) => job,
            Err(_) => panic!("after {} s the job is {:#}", patience.as_secs(), self.job(id).await),
        }
    }
}

/// A small genuine PNG.
pub fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, 90]));
    pixels.write_to(&mut bytes, image::ImageFormat::Png).expect("a picture can be encoded");
    bytes.into_inner()
}
