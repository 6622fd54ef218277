//! The settings themselves: each is there and well-formed. Nothing is called.

use url::Url;

use super::super::worker::{self, WorkerCommand};
use super::{Report, files};
use crate::{provider, queue, storage};

/// What the settings make possible; nothing where they are missing or wrong.
pub(super) struct Settings {
    pub(super) database: Option<queue::Settings>,
    pub(super) url: Option<Url>,
    pub(super) storage: Option<storage::Settings>,
    pub(super) publishable_key: Option<String>,
    pub(super) provider: Option<provider::Settings>,
    /// Whether the certificates to trust are known.
    trusted: bool,
}

impl Settings {
    /// The setting without which nothing can be asked of Storage.
    pub(super) fn before_storage(&self) -> &'static str {
        if self.url.is_none() { "supabase_url" } else { "secret_key" }
    }

    /// The setting without which nothing can be asked of the provider.
    pub(super) fn before_provider(&self) -> &'static str {
        if self.trusted { "provider_key" } else { "provider_ca" }
    }
}

/// An address as it may be told: without a password, and without a query, which can be a key.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // An address that can't have them has none.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

/// Reads what a worker needs.
pub(super) fn read(command: &WorkerCommand) -> (Report, Settings) {
    let mut report = Report::default();
    let database = report.setting(
        "database_url",
        command.database.connect(),
        "export DATABASE_URL='postgresql://carousel_worker:PASSWORD@HOST:5432/postgres'",
        |settings| format!("DATABASE_URL names {}", place(settings)),
    );
    let url = report.setting(
        "supabase_url",
        command.supabase.url(),
        "export SUPABASE_URL=https://YOUR-PROJECT.supabase.co",
        |url| format!("SUPABASE_URL is {}", shown(url)),
    );
    let secret_key =
        report.setting("secret_key", command.supabase.secret_key(), "export SUPABASE_SECRET_KEY=sb_secret_...", |_| {
            "SUPABASE_SECRET_KEY is set".to_owned()
        });
    let storage = url.as_ref().zip(secret_key).and_then(|_| command.supabase.storage().ok());
    let provider_key = report.setting("provider_key", command.provider.key(), "export OPENAI_API_KEY=sk-...", |_| {
        format!("OPENAI_API_KEY is set, for {}", shown(&command.provider.openai_base_url))
    });
    let trusted = report.setting(
        "provider_ca",
        command.provider.certificates(),
        "export CAROUSEL_PROVIDER_CA=/path/of/the/certificate.crt",
        |own| match own.len() {
            0 => "public authorities only are trusted for the provider".to_owned(),
            own => format!(
                "public authorities and {own} certificates of CAROUSEL_PROVIDER_CA are trusted for the provider"
            ),
        },
    );
    let provider = provider_key.zip(trusted.as_ref()).and_then(|_| command.provider.settings().ok());
    report.setting("prices", worker::prices(command.provider.prices.as_deref()), "unset CAROUSEL_PRICES", |_| {
        "prices can be read".to_owned()
    });
    let spool = command.worker.spool();
    report.setting(
        "spool",
        tempfile::tempdir_in(&spool)
            .map_err(|error| anyhow::anyhow!("source images can't be spooled in {}: {error}", spool.display())),
        "export CAROUSEL_SPOOL=/a/folder/that/can/be/written",
        |_| format!("source images are spooled in {}", spool.display()),
    );
    files::look(&mut report, command);
    let publishable_key = command.supabase.publishable_key().ok();
    (report, Settings { database, url, storage, publishable_key, provider, trusted: trusted.is_some() })
}

/// The key for clients, which the worker itself does without.
pub(super) fn publishable_key(report: &mut Report, command: &WorkerCommand) {
    match command.supabase.publishable_key() {
        Ok(key) if key.starts_with("sb_secret_") => report.failed(
            "publishable_key",
            "SUPABASE_PUBLISHABLE_KEY holds a secret key: whoever has it in a browser can read everybody's rows",
            "export SUPABASE_PUBLISHABLE_KEY=sb_publishable_...",
        ),
        Ok(_) => report.passed("publishable_key", "SUPABASE_PUBLISHABLE_KEY is set"),
        Err(error) => report.warning(
            "publishable_key",
            format!("{error:#}"),
            "export SUPABASE_PUBLISHABLE_KEY=sb_publishable_...",
        ),
    }
}

impl Report {
    fn setting<T>(
        &mut self,
        check: &'static str,
        read: anyhow::Result<T>,
        mend: &str,
        well: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match read {
            Ok(value) => {
                self.passed(check, well(&value));
                Some(value)
            }
            Err(error) => {
                self.failed(check, format!("{error:#}"), mend);
                None
            }
        }
    }
}

/// Host, port and role of a database, without the password.
fn place(settings: &queue::Settings) -> String {
    use tokio_postgres::config::Host;
    let database = &settings.database;
    let host = match database.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "no host".to_owned(),
    };
    let port = database.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port} as {}", database.get_user().unwrap_or("nobody"))
}
