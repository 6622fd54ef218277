//! Where a fault strikes: a deployment, the network between it and its workers, and the workers as processes of their own.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use carousel_local::openai::{OpenAi, Settings};
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::deployment::{Deployment, OPENAI_KEY, Person};
use crate::process::Worker;
use crate::project::Project;
use crate::proxy::Proxy;

/// Within so long another worker takes a lost one's job up, and the job ends: what the product promises.
pub const BOUND: Duration = Duration::from_secs(45);
/// Words of every prompt, which no log may have.
pub const HUSH: &str = "hush-hush";

pub struct Scene {
    pub deployment: Deployment,
    /// The network of workers that have none of their own.
    pub ways: Ways,
    /// A connection as the superuser, made anew when it was lost.
    admin: tokio::sync::Mutex<Option<Client>>,
}

/// The network between a worker and those it needs.
pub struct Ways {
    pub database: Proxy,
    pub supabase: Proxy,
    pub provider: Proxy,
}

/// A provider that answers at once, each time with another picture.
pub fn provider() -> OpenAi {
    OpenAi::with(OPENAI_KEY, Settings { varied: true, ..Settings::default() })
}

impl Scene {
    /// A deployment of its own without a worker.
    pub async fn new() -> Self {
        Self::of(Deployment::with(provider()).await).await
    }

    /// A deployment on a server of its own, which may be restarted.
    pub async fn on(project: Project) -> Self {
        Self::of(Deployment::on(project, provider()).await).await
    }

    async fn of(deployment: Deployment) -> Self {
        let ways = Ways::to(&deployment).await;
        Self { deployment, ways, admin: tokio::sync::Mutex::default() }
    }

    /// Another network to the same deployment.
    pub async fn ways(&self) -> Ways {
        Ways::to(&self.deployment).await
    }

    /// A worker with short leases, ready to work.
    pub async fn worker(&self) -> Worker {
        self.worker_with(&[]).await
    }

    /// [`Scene::worker`] with other variables.
    pub async fn worker_with(&self, more: &[(&str, &str)]) -> Worker {
        self.worker_over(&self.ways, more).ready().await
    }

    /// A worker behind `ways`, perhaps not ready yet.
    pub fn worker_over(&self, ways: &Ways, more: &[(&str, &str)]) -> Worker {
        let Deployment { project, stack, .. } = &self.deployment;
        let database = project.shared.server.port();
        let url = project.worker_url().replace(&format!(":{database}/"), &format!(":{}/", ways.database.port()));
        let mut variables = vec![
            ("DATABASE_URL", url),
            ("SUPABASE_URL", format!("http://127.0.0.1:{}", ways.supabase.port())),
            ("SUPABASE_SECRET_KEY", stack.secret_key().to_owned()),
            ("OPENAI_BASE_URL", format!("http://127.0.0.1:{}/v1", ways.provider.port())),
            ("OPENAI_API_KEY", OPENAI_KEY.to_owned()),
            ("CAROUSEL_LEASE_SECONDS", "3".to_owned()),
            ("CAROUSEL_POLL_SECONDS", "1".to_owned()),
            ("CAROUSEL_QUALITY", "low".to_owned()),
            ("CAROUSEL_SPOOL", self.deployment.folder().display().to_string()),
            ("CAROUSEL_LOG", "carousel=debug,info".to_owned()),
            // The slides of a job are made one after the other, so that a fault finds one finished, one under way and one not begun.
            ("CAROUSEL_CALLS_PER_JOB", "1".to_owned()),
        ];
        variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Worker::start(self.deployment.folder(), &variables)
    }

    /// Asks the database as the superuser, again while it is away.
    pub async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        let since = Instant::now();
        let mut admin = self.admin.lock().await;
        loop {
            if admin.as_ref().is_none_or(Client::is_closed) {
                let server = &self.deployment.project.shared.server;
                *admin = server.connect(carousel_local::postgres::ADMIN, &self.deployment.project.database).await.ok();
            }
            let answer = match admin.as_ref() {
                Some(client) => client.query(sql, values).await,
                None => {
                    assert!(since.elapsed() < BOUND, "the database stays away");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            match answer {
                Ok(rows) => return rows,
                Err(error)
                    if since.elapsed() > BOUND || error.code().is_some_and(|code| !code.code().starts_with("57")) =>
                {
                    panic!("{sql}: {error:?}")
                }
                Err(_) => *admin = None,
            }
        }
    }

    /// A number that the database knows.
    pub async fn count(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> i64 {
        self.rows(sql, values).await[0].get(0)
    }

    /// Returns when the database answers `sql` with at least one row.
    pub async fn until(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) {
        let waiting = async {
            while self.rows(sql, values).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        };
        if tokio::time::timeout(BOUND, waiting).await.is_err() {
            panic!("in {} s it never came to: {sql} {values:?}\n{}", BOUND.as_secs(), self.state().await);
        }
    }

    /// Returns when a statement of a worker that begins with the comment `words` waits for a lock.
    pub async fn until_blocked(&self, words: &str) {
        let blocked = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' \
                       and usename = 'carousel_worker' and query like '-- ' || $1 || '%'";
        self.until(blocked, &[&words]).await;
    }

    /// A transaction that holds what `sql` locks until it is dropped.
    pub async fn lock(&self, sql: &str) -> Client {
        let client = self.deployment.project.admin().await;
        client.batch_execute("begin").await.expect("a transaction can be begun");
        client.batch_execute(sql).await.expect("it can be locked");
        client
    }

    /// Returns the job when it is over.
    pub async fn over(&self, job: Uuid) -> Ended {
        let ended = "select from public.image_generation_jobs where id = $1 and finished_at is not null";
        self.until(ended, &[&job]).await;
        self.job(job).await
    }

    pub async fn job(&self, job: Uuid) -> Ended {
        let row =
            "select status, attempt, completed_images, error_code from public.image_generation_jobs where id = $1";
        let row = self.rows(row, &[&job]).await.remove(0);
        Ended { status: row.get(0), attempt: row.get(1), completed: row.get(2), code: row.get(3) }
    }

    /// All that the database knows of jobs, images, leases and calls, for comparing and for people.
    pub async fn state(&self) -> String {
        let mut text = String::new();
        for (what, sql) in [
            ("job", "select to_jsonb(row) - 'source_paths' from public.image_generation_jobs row order by id"),
            (
                "image",
                "select to_jsonb(row) - 'prompt' - 'usage' from public.generated_carousel_images row order by id",
            ),
            ("lease", "select to_jsonb(row) from carousel_private.leases row order by token"),
            ("queue", "select to_jsonb(row) from carousel_private.queue row order by job_id"),
            ("call", "select to_jsonb(row) - 'usage' from carousel_private.provider_calls row order by id"),
        ] {
            for row in self.rows(sql, &[]).await {
                text += &format!("{what} {}\n", row.get::<_, Value>(0));
            }
        }
        text
    }
}

impl Ways {
    async fn to(deployment: &Deployment) -> Self {
        let at = |url: &str| url::Url::parse(url).expect("it is a URL").port().expect("it has a port");
        let local = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let openai = deployment.stack.openai_url().expect("the stand-in runs");
        Self {
            database: Proxy::before(local(deployment.project.shared.server.port())).await,
            supabase: Proxy::before(local(at(deployment.stack.url()))).await,
            provider: Proxy::before(local(at(&openai))).await,
        }
    }

    pub fn each(&self) -> [&Proxy; 3] {
        [&self.database, &self.supabase, &self.provider]
    }
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub status: String,
    pub attempt: i32,
    pub completed: i32,
    pub code: Option<String>,
}

/// A job of `slides` pictures from one new photo, with an id that is known before it is inserted.
pub struct Request<'a> {
    pub person: Person<'a>,
    pub id: Uuid,
    body: Value,
}

impl<'a> Request<'a> {
    pub async fn new(scene: &'a Scene, slides: usize) -> Self {
        let person = scene.deployment.person().await;
        let source = person.photo().await;
        let id = Uuid::new_v4();
        let slide_prompts: Vec<_> = (1..=slides).map(|slide| format!("{HUSH} {slide}")).collect();
        let body = json!({ "id": id, "prompt": format!("a {HUSH} cup"), "slide_prompts": slide_prompts, "source_paths": [source] });
        Self { person, id, body }
    }

    pub async fn submit(&self) {
        self.person.submit(&self.body).await;
    }

    /// Does to the job's row what a frontend may do.
    pub async fn patch(&self, body: &Value) {
        let path = format!("image_generation_jobs?id=eq.{}", self.id);
        let (status, answer) = self.person.rest("PATCH", &path, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub async fn cancel(&self) {
        self.patch(&json!({ "cancel_requested_at": "2026-01-01T00:00:00Z" })).await;
    }

    pub async fn retry(&self) {
        self.patch(&json!({ "retry_requested_at": "2026-01-01T00:00:00Z" })).await;
    }

    pub async fn delete(&self) {
        let path = format!("image_generation_jobs?id=eq.{}", self.id);
        let (status, answer) = self.person.rest("DELETE", &path, None).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// Waits for `what` that ought to happen soon, and panics with `name` when it doesn't.
pub async fn soon<T: Debug>(name: &str, what: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), what).await {
        Ok(value) => value,
        Err(_) => panic!("it did not come to this: {name}"),
    }
}
