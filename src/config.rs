//! Every option of the program: documented, read from flags or environment, and checked once, at the start.
//!
//! Each group is split into the settings of one hand, so that no part of the program sees a value that isn't its own.

mod http;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use http::Http;

/// How to reach the database.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct Database {
    /// Connection string of the project's database: direct or session pooler, port 5432
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,

    /// Certificate to trust for the database, in PEM (Supabase: Database Settings, SSL Configuration)
    #[arg(long, env = "CAROUSEL_DATABASE_CA", value_name = "FILE")]
    pub database_ca: Option<PathBuf>,

    /// Connections for the queue, besides one that listens and one that renews leases
    #[arg(long, env = "CAROUSEL_DATABASE_CONNECTIONS", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub database_connections: u16,
}

impl Database {
    /// Checked connection settings.
    ///
    /// # Errors
    /// When the URL is missing or malformed, names the transaction pooler, or asks for a connection without TLS to another machine.
    pub fn connect(&self) -> anyhow::Result<crate::queue::Settings> {
        let url = given(self.database_url.as_ref())
            .context("DATABASE_URL is not set: pass the connection string of the project's database, user `carousel_worker` or `postgres`")?;
        // libpq's two strictest modes are what this program does with every encrypted connection.
        let plain =
            url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
        let mut database: tokio_postgres::Config = plain.parse().map_err(|error| {
            anyhow::anyhow!(
                "DATABASE_URL is no connection string ({error}): expected postgresql://user:password@host:5432/database"
            )
        })?;
        if database.get_ports().contains(&6543) {
            bail!(
                "DATABASE_URL names port 6543, the pooler in transaction mode, through which LISTEN hears nothing: \
                 use the session pooler or the direct connection, both on port 5432"
            );
        }
        let local = database.get_hosts().iter().all(is_loopback);
        match database.get_ssl_mode() {
            tokio_postgres::config::SslMode::Disable if !local => {
                bail!(
                    "DATABASE_URL says sslmode=disable for another machine: passwords would travel in the clear; use sslmode=require"
                );
            }
            tokio_postgres::config::SslMode::Prefer if !local => {
                database.ssl_mode(tokio_postgres::config::SslMode::Require);
            }
            _ => {}
        }
        database
            .application_name("carousel")
            .connect_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(30));
        Ok(crate::queue::Settings {
            database,
            certificates: self.database_ca.clone(),
            connections: usize::from(self.database_connections),
        })
    }
}

fn is_loopback(host: &tokio_postgres::config::Host) -> bool {
    match host {
        tokio_postgres::config::Host::Tcp(name) => {
            name == "localhost"
                || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        tokio_postgres::config::Host::Unix(_) => true,
    }
}

/// How to reach the project's API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Supabase")]
pub struct Supabase {
    /// Address of the project, for example <https://abcdefgh.supabase.co>
    #[arg(long, env = "SUPABASE_URL", value_name = "URL")]
    pub supabase_url: Option<String>,

    /// Secret API key (sb_secret_...), for reading sources and writing results
    #[arg(long, env = "SUPABASE_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    pub supabase_secret_key: Option<SecretString>,

    /// The same as a legacy service_role key
    #[arg(long, env = "SUPABASE_SERVICE_ROLE_KEY", hide_env_values = true, value_name = "KEY", hide = true)]
    pub supabase_service_role_key: Option<SecretString>,

    /// Publishable API key (sb_publishable_...), for acting as a user
    #[arg(long, env = "SUPABASE_PUBLISHABLE_KEY", hide_env_values = true, value_name = "KEY")]
    pub supabase_publishable_key: Option<SecretString>,

    /// The same as a legacy anon key
    #[arg(long, env = "SUPABASE_ANON_KEY", hide_env_values = true, value_name = "KEY", hide = true)]
    pub supabase_anon_key: Option<SecretString>,
}

impl Supabase {
    /// Settings of the Storage client.
    ///
    /// # Errors
    /// When the URL or the secret key is missing, or the key is one for clients.
    pub fn storage(&self) -> anyhow::Result<crate::storage::Settings> {
        let secret_key = self.secret_key()?;
        Ok(crate::storage::Settings {
            url: self.url()?,
            secret_key,
            bucket: "generated-carousels".to_owned(),
            connect_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(300),
        })
    }

    /// The project's address.
    pub fn url(&self) -> anyhow::Result<Url> {
        let url = self.supabase_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let url = url.context("SUPABASE_URL is not set: for example https://abcdefgh.supabase.co")?;
        let url: Url = url.parse().with_context(|| format!("SUPABASE_URL is no address: {url}"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "SUPABASE_URL begins with https://, not {}:", url.scheme());
        Ok(url)
    }

    /// The project as its people use it: with the publishable key.
    ///
    /// # Errors
    /// When the URL or the publishable key is missing, or the key is a secret one.
    pub fn project(&self) -> anyhow::Result<crate::client::Project> {
        let key = self.publishable_key()?;
        ensure!(
            !key.starts_with("sb_secret_"),
            "SUPABASE_PUBLISHABLE_KEY holds a secret key: use the one that begins with sb_publishable_"
        );
        Ok(crate::client::Project::new(&self.url()?, key.into())?)
    }

    /// The key for servers, which sees everybody's rows.
    ///
    /// # Errors
    /// When it is missing, or one for clients.
    pub fn secret_key(&self) -> anyhow::Result<SecretString> {
        let key = given(self.supabase_secret_key.as_ref())
            .or_else(|| given(self.supabase_service_role_key.as_ref()))
            .context("SUPABASE_SECRET_KEY is not set: create a secret key in the project's API settings")?;
        ensure!(
            !key.starts_with("sb_publishable_"),
            "SUPABASE_SECRET_KEY holds a publishable key: use the one that begins with sb_secret_"
        );
        Ok(key.to_owned().into())
    }

    /// The key for clients.
    pub fn publishable_key(&self) -> anyhow::Result<String> {
        given(self.supabase_publishable_key.as_ref())
            .or_else(|| given(self.supabase_anon_key.as_ref()))
            .map(str::to_owned)
            .context("SUPABASE_PUBLISHABLE_KEY is not set: it stands in the project's API settings")
    }
}

/// How to reach the image provider, and what to ask of it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Provider")]
pub struct Provider {
    /// Key of the OpenAI API
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub openai_api_key: Option<SecretString>,

    /// Address of the API, for OpenAI or a compatible server
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL", default_value = "https://api.openai.com/v1")]
    pub openai_base_url: Url,

    /// Header that carries the key; `authorization` sends `Bearer KEY`, any other name (Azure: api-key) the key alone
    #[arg(long, env = "CAROUSEL_AUTH_HEADER", value_name = "NAME", default_value = "authorization")]
    pub auth_header: String,

    /// Query string to add to every call (Azure: api-version=...)
    #[arg(long, env = "CAROUSEL_QUERY", value_name = "QUERY")]
    pub query: Option<String>,

    /// Model for jobs that name none
    #[arg(long, env = "CAROUSEL_MODEL", value_name = "MODEL", default_value = "gpt-image-2")]
    pub model: String,

    /// Models that jobs may name, by comma; all when empty
    #[arg(long, env = "CAROUSEL_MODELS", value_name = "MODELS", value_delimiter = ',')]
    pub models: Vec<String>,

    /// Quality for jobs that name none
    #[arg(long, env = "CAROUSEL_QUALITY", value_name = "QUALITY", default_value = "medium")]
    pub quality: String,

    /// Dollars per million tokens as JSON: {"gpt-image-2": {"text_in": 5, "text_in_cached": 1.25, "image_in": 8, "image_in_cached": 2, "image_out": 30}}
    #[arg(long, env = "CAROUSEL_PRICES", value_name = "JSON")]
    pub prices: Option<String>,

    /// Hosts from which a picture may be fetched when the provider answers with a URL, by comma; none when empty
    #[arg(long, env = "CAROUSEL_URL_HOSTS", value_name = "HOSTS", value_delimiter = ',')]
    pub url_hosts: Vec<String>,

    /// Seconds that one call may take in all
    #[arg(long, env = "CAROUSEL_CALL_SECONDS", value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub call_seconds: u64,
}

impl Provider {
    /// The models that jobs may name; all when there are none.
    pub fn models(&self) -> Vec<String> {
        named(&self.models)
    }

    /// Settings of the provider client.
    ///
    /// # Errors
    /// When the key is missing.
    pub fn settings(&self) -> anyhow::Result<crate::provider::Settings> {
        let key = given(self.openai_api_key.as_ref()).context(
            "OPENAI_API_KEY is not set: create one at the provider, or try everything without one by `carousel dev`",
        )?;
        Ok(crate::provider::Settings {
            base_url: self.openai_base_url.clone(),
            api_key: key.to_owned().into(),
            auth_header: self.auth_header.clone(),
            query: self.query.clone().filter(|query| !query.is_empty()),
            connect_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(self.call_seconds),
            max_answer_bytes: 100 << 20,
            url_hosts: named(&self.url_hosts),
        })
    }
}

/// How much is done at once, and how patiently.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Worker")]
pub struct Worker {
    /// Jobs that are worked on at once
    #[arg(long, env = "CAROUSEL_JOBS", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub jobs: u32,

    /// Calls to the provider at once, over all jobs
    #[arg(long, env = "CAROUSEL_CALLS", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub calls: u32,

    /// Images a minute that all workers with the same provider key may ask for together; no limit of ours when left out
    #[arg(long, env = "CAROUSEL_IMAGES_PER_MINUTE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub images_per_minute: Option<u32>,

    /// Calls to the provider at once for one job
    #[arg(long, env = "CAROUSEL_CALLS_PER_JOB", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub calls_per_job: u32,

    /// Pictures in memory at once, on their way from the provider to the bucket; this bounds the memory
    #[arg(long, env = "CAROUSEL_TRANSFERS", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub transfers: u32,

    /// Times that an image is tried before it fails
    #[arg(long, env = "CAROUSEL_IMAGE_TRIES", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub image_tries: u32,

    /// Workers that a job may lose before it fails
    #[arg(long, env = "CAROUSEL_JOB_ATTEMPTS", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub job_attempts: i32,

    /// Seconds after which a silent worker's job may be taken by another; renewed at a third of it
    #[arg(long, env = "CAROUSEL_LEASE_SECONDS", value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub lease_seconds: u64,

    /// Seconds between looks at the database when it says nothing
    #[arg(long, env = "CAROUSEL_POLL_SECONDS", value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub poll_seconds: u64,

    /// Seconds that running images get to finish after SIGTERM
    #[arg(long, env = "CAROUSEL_GRACE_SECONDS", value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub grace_seconds: u64,

    /// Folder in which source images are spooled while their job runs
    #[arg(long, env = "CAROUSEL_SPOOL", value_name = "DIR")]
    pub spool: Option<PathBuf>,
}

impl Worker {
    /// The folder for source images.
    pub fn spool(&self) -> PathBuf {
        self.spool.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// A list from a variable, without the one empty name that an empty variable gives.
fn named(list: &[String]) -> Vec<String> {
    list.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// An empty variable is one that is not set.
fn given(secret: Option<&SecretString>) -> Option<&str> {
    secret.map(|secret| secret.expose_secret().trim()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
