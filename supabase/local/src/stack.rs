//! The whole of a local Supabase: one database behind one gateway, with all that stands between them, and OpenAI's stand-in beside it.

pub mod listener;
mod place;

use std::convert::identity;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;

use self::listener::{Served, by_own_name, listen, url};
use self::place::Place;
use super::auth::{self, Auth};
use super::caller::Keys;
use super::gateway::{self, Services};
use super::install::{self, Runtime};
use super::openai::{self, OpenAi};
use super::postgres::{ADMIN, Options, Server};
use super::postgrest::{self, PostgRest};
use super::realtime::{self, Realtime};
use super::storage::{self, Storage};
use super::{bootstrap, database};

/// The database of a stack that has a server of its own.
const DATABASE: &str = "postgres";

/// How a stack of one's own is to be.
#[derive(Clone)]
pub struct Settings {
    /// Where programs are installed; [`install::home`] unless there is a reason.
    pub home: PathBuf,
    /// Where the data is kept; made when it is missing. PostgreSQL's own account must be able to enter what is above it.
    pub directory: PathBuf,
    /// Port of the gateway on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// Port that PostgreSQL gets when it is free; otherwise, and for 0, any free port.
    pub database_port: u16,
    /// Removes the data that is there first.
    pub reset: bool,
    /// The stand-in for OpenAI, on any free port; `None` for those who use the real service.
    pub openai: Option<OpenAi>,
}

/// A running stack. Dropping it stops everything without waiting.
pub struct Stack {
    server: Arc<Server>,
    database: String,
    keys: Arc<Keys>,
    postgrest: PostgRest,
    storage: Storage,
    realtime: Realtime,
    gateway: Served,
    openai: Option<Served>,
    /// Held while the data is in use; `None` for a stack on somebody else's server.
    place: Option<Place>,
}

impl Stack {
    /// Starts a stack with its own server, installing the programs when they are missing. A later start with the same directory finds
    /// the same data and keys. `report` gets one line for each step.
    pub async fn start(settings: &Settings, report: impl Fn(&str)) -> anyhow::Result<Self> {
        let place = Place::take(&settings.directory, settings.reset).await?;
        // A taken port is told before anything is installed or started.
        let listener = listen(settings.port, "--port").await?;
        let runtime = install::ensure(&settings.home, &report).await?;
        report("Starting PostgreSQL");
        let options = Options { port: settings.database_port, throw_away: false };
        let server = Server::start(&runtime.postgres, &settings.directory.join("postgres"), options).await?;
        let admin = server.connect(ADMIN, DATABASE).await?;
        admin.batch_execute(&format!("alter database {DATABASE} owner to postgres")).await?;
        bootstrap::project(&admin, true).await?;
        report("Starting PostgREST and the gateway");
        let keys = place.keys(&issuer(&listener)?)?;
        let directory = &settings.directory;
        let mut stack =
            Self::serve(&runtime, Arc::new(server), DATABASE, directory, keys, listener, by_own_name).await?;
        stack.place = Some(place);
        if let Some(openai) = &settings.openai {
            let openai = by_own_name(openai::router(openai.clone()));
            stack.openai = Some(Served::start(listen(0, "--port").await?, openai)?);
        }
        Ok(stack)
    }

    /// Starts a stack for `database` of a server that runs already, with new keys, on any free port, and `openai` beside it. Logs and
    /// objects go to `directory`, which must exist. It answers by any name that leads to it.
    pub async fn on(
        runtime: &Runtime,
        server: Arc<Server>,
        database: &str,
        directory: &Path,
        openai: OpenAi,
    ) -> anyhow::Result<Self> {
        let listener = listen(0, "--port").await?;
        let keys = place::new_keys(&issuer(&listener)?)?;
        let mut stack = Self::serve(runtime, server, database, directory, keys, listener, identity).await?;
        stack.openai = Some(Served::start(listen(0, "--port").await?, openai::router(openai))?);
        Ok(stack)
    }

    async fn serve(
        runtime: &Runtime,
        server: Arc<Server>,
        database: &str,
        directory: &Path,
        keys: Keys,
        listener: TcpListener,
        named: fn(Router) -> Router,
    ) -> anyhow::Result<Self> {
        let keys = Arc::new(keys);
        let pool = |role: &str, size| database::pool(&server.url(role, database), size);
        let postgrest = PostgRest::start(&postgrest::Settings {
            program: &runtime.postgrest,
            database_url: server.url("authenticator", database),
            keys: &keys,
            log: directory.join("postgrest.log"),
        })
        .await?;
        let auth = Auth::new(pool("supabase_auth_admin", 4)?, Arc::clone(&keys));
        let objects = directory.join("objects");
        let storage = Storage::new(pool(ADMIN, 8)?, Arc::clone(&keys), &objects)
            .with_context(|| format!("objects can't be kept in {}", objects.display()))?;
        let realtime = Realtime::start(pool(ADMIN, 4)?, Arc::clone(&keys)).await?;
        let services = Services {
            postgrest: postgrest.url().to_owned(),
            auth: auth::router(auth),
            storage: storage::router(storage.clone()),
            realtime: realtime::router(realtime.clone()),
        };
        let gateway = Served::start(listener, named(gateway::router(Arc::clone(&keys), services)?))?;
        let database = database.to_owned();
        Ok(Self { server, database, keys, postgrest, storage, realtime, gateway, openai: None, place: None })
    }

    /// The project's address, for example `http://127.0.0.1:54321`.
    pub fn url(&self) -> &str {
        &self.gateway.url
    }

    /// `OPENAI_BASE_URL` of the stand-in, with its `/v1`, when there is one.
    pub fn openai_url(&self) -> Option<String> {
        Some(format!("{}/v1", self.openai.as_ref()?.url))
    }

    /// The key for browsers, role `anon`.
    pub fn publishable_key(&self) -> &str {
        &self.keys.publishable
    }

    /// The key for servers, role `service_role`.
    pub fn secret_key(&self) -> &str {
        &self.keys.secret
    }

    /// The keys themselves, with which a test signs what tokens it likes.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The storage server, whose faults a test may switch on.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The Realtime server, which a test may have close its channels.
    pub fn realtime(&self) -> &Realtime {
        &self.realtime
    }

    /// Connection string of a role that logs in, such as `postgres`. It holds the password.
    pub fn database_url(&self, role: &str) -> String {
        self.server.url(role, &self.database)
    }

    /// Waits until PostgREST serves a table of `public` that a migration has just made: it hears of changes a moment later.
    pub async fn until_served(&self, table: &str) -> anyhow::Result<()> {
        self.postgrest.until_served(table, &self.keys).await
    }

    /// Stops everything in good order and waits for it. A server that others use as well goes on.
    pub async fn stop(self) {
        self.realtime.stop().await;
        self.gateway.stop().await;
        if let Some(openai) = self.openai {
            openai.stop().await;
        }
        self.postgrest.stop().await;
        if let Some(server) = Arc::into_inner(self.server) {
            server.stop().await;
        }
        drop(self.place);
    }
}

fn issuer(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("{}/auth/v1", url(listener)?))
}
