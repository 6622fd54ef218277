//! The Supabase project that `carousel dev` works with: its own local one, or one that runs already.

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use url::Url;

use super::super::worker::WorkerCommand;
use super::Dev;
use crate::migrations;
use crate::pages::Demo;
use carousel_local::openai::{self, OpenAi};
use carousel_local::stack::{self, Stack};
use carousel_local::{database, install};

/// A project with the schema applied, and how to reach it.
pub(super) struct Project {
    /// Address of the API.
    pub(super) url: String,
    /// Key for browsers.
    pub(super) publishable_key: String,
    /// Key for servers.
    pub(super) secret_key: String,
    /// The worker's command line for this project.
    pub(super) worker: WorkerCommand,
    /// Ours, when the project is not somebody else's.
    stack: Option<Stack>,
    /// The provider's stand-in, when there is no key for the real one.
    openai: Option<JoinHandle<()>>,
}

impl Project {
    pub(super) async fn open(dev: &Dev) -> anyhow::Result<Self> {
        let mut worker = dev.worker.clone();
        let openai = match worker
            .deployment
            .provider
            .openai_api_key
            .as_ref()
            .is_some_and(|key| !key.expose_secret().trim().is_empty())
        {
            true => None,
            false => Some(stand_in(&mut worker).await?),
        };
        if worker.deployment.supabase.supabase_url.as_ref().is_some_and(|url| !url.trim().is_empty()) {
            return Self::existing(worker, openai).await;
        }
        let home = install::home();
        let settings = stack::Settings {
            directory: dev.data.clone().unwrap_or_else(|| home.join("dev")),
            home,
            port: dev.port,
            database_port: 54322,
            reset: dev.reset,
            openai: None,
        };
        let stack = Stack::start(&settings, |step| eprintln!("{step}")).await?;
        eprintln!("Applying the schema");
        let owner = stack.database_url("postgres");
        let mut client = database::connect(&owner).await?;
        migrations::apply(&mut client).await?;
        stack.until_served("image_generation_jobs").await?;
        // The worker runs as its own role, as it should in production.
        let password = uuid::Uuid::new_v4().simple().to_string();
        client.batch_execute(&format!("alter role carousel_worker login password '{password}'")).await?;
        let mut database_url = Url::parse(&owner)?;
        let named =
            database_url.set_username("carousel_worker").and_then(|()| database_url.set_password(Some(&password)));
        named.map_err(|()| anyhow::anyhow!("{database_url} has no place for a user"))?;

        worker.deployment.database.database_url = Some(String::from(database_url).into());
        worker.deployment.supabase.supabase_url = Some(stack.url().to_owned());
        worker.deployment.supabase.supabase_secret_key = Some(stack.secret_key().to_owned().into());
        Ok(Self {
            url: stack.url().to_owned(),
            publishable_key: stack.publishable_key().to_owned(),
            secret_key: stack.secret_key().to_owned(),
            worker,
            stack: Some(stack),
            openai,
        })
    }

    /// A project that runs already: only the schema is applied to it.
    async fn existing(worker: WorkerCommand, openai: Option<JoinHandle<()>>) -> anyhow::Result<Self> {
        let storage = worker.deployment.supabase.storage()?;
        let connected = worker.deployment.database.settings()?.connect_for_long().await;
        let mut client = connected.context("the database can't be reached: check DATABASE_URL")?;
        for name in migrations::apply(&mut client).await? {
            eprintln!("Applied {name}");
        }
        Ok(Self {
            url: storage.url.as_str().trim_end_matches('/').to_owned(),
            publishable_key: worker.deployment.supabase.publishable_key()?,
            secret_key: storage.secret_key.expose_secret().to_owned(),
            worker,
            stack: None,
            openai,
        })
    }

    /// The demo user that everybody knows, when the project is this program's own: a known password is for a project on this machine only.
    pub(super) fn demo(&self) -> Option<Demo> {
        self.stack.is_some().then_some(Demo { email: "demo@example.com", password: "carousel-demo" })
    }

    /// Tells a person how to go on. `app` is the origin of the pages.
    pub(super) fn explain(&self, app: &str) {
        println!("\nRunning. Look at it in a browser:\n");
        let demo = self.demo().map(|demo| format!("   (demo user {}, password {})", demo.email, demo.password));
        println!("  {app}/image-generator{}", demo.unwrap_or_default());
        println!("\nOr point a frontend at it, or look inside:\n");
        println!("  SUPABASE_URL={}", self.url);
        println!("  SUPABASE_PUBLISHABLE_KEY={}", self.publishable_key);
        if let Some(stack) = &self.stack {
            println!("  SUPABASE_SECRET_KEY={}", self.secret_key);
            println!("  psql '{}'", stack.database_url("postgres"));
        }
        if self.openai.is_some() {
            println!("\nThe pictures are a stand-in's. Set OPENAI_API_KEY for real ones.");
        }
        println!("\nCtrl-C stops everything; the data stays for the next start (--reset begins afresh).");
    }

    /// Stops what was started here.
    pub(super) async fn close(self) {
        if let Some(openai) = self.openai {
            openai.abort();
        }
        if let Some(stack) = self.stack {
            stack.stop().await;
        }
    }
}

/// Starts the provider's stand-in and points the worker at it.
async fn stand_in(worker: &mut WorkerCommand) -> anyhow::Result<JoinHandle<()>> {
    let key = format!("sk-local-{}", uuid::Uuid::new_v4().simple());
    let service = OpenAi::with(key.clone(), openai::Settings::lifelike());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    worker.deployment.provider.openai_base_url = format!("http://{}/v1", listener.local_addr()?).parse()?;
    worker.deployment.provider.openai_api_key = Some(key.into());
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, openai::router(service)).await {
            tracing::error!(%error, "the provider's stand-in ended");
        }
    }))
}
