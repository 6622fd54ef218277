//! The settings themselves: each is there and well-formed. Nothing is called.

use rustls::pki_types::CertificateDer;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use super::{Report, files};
use crate::config::Deployment;
use crate::supabase::storage;
use crate::{provider, queue};

/// A value, or the check that has failed without which there is none.
pub(super) type Given<T> = Result<T, &'static str>;

/// What the settings make possible.
pub(super) struct Settings {
    pub(super) database: Given<Database>,
    /// Its address, and the certificates to trust there.
    pub(super) project: Given<(Url, Vec<CertificateDer<'static>>)>,
    pub(super) storage: Given<storage::Settings>,
    pub(super) publishable_key: Given<String>,
    pub(super) provider: Given<provider::Settings>,
}

/// The way to the database.
pub(super) struct Database {
    pub(super) place: tokio_postgres::Config,
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) tls: MakeRustlsConnect,
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
pub(super) fn read(deployment: &Deployment) -> (Report, Settings) {
    let mut report = Report::default();
    let place = report.setting(
        "database_url",
        deployment.database.place(),
        "export DATABASE_URL='postgresql://carousel_worker:PASSWORD@HOST:5432/postgres'",
        |database| format!("DATABASE_URL names {}", named(database)),
    );
    let trusted =
        report.trusted("database_ca", "CAROUSEL_DATABASE_CA", "the database", deployment.database.certificates());
    let database = place.and_then(|place| {
        let certificates = trusted?;
        let tls = queue::tls(&certificates).map_err(|_| "database_ca")?;
        Ok(Database { place, certificates, tls })
    });
    let url = report.setting(
        "supabase_url",
        deployment.supabase.url(),
        "export SUPABASE_URL=https://YOUR-PROJECT.supabase.co",
        |url| format!("SUPABASE_URL is {}", shown(url)),
    );
    let trusted =
        report.trusted("supabase_ca", "CAROUSEL_SUPABASE_CA", "the project", deployment.supabase.certificates());
    let project = url.and_then(|url| Ok((url, trusted?)));
    let secret_key = report.setting(
        "secret_key",
        deployment.supabase.secret_key(),
        "export SUPABASE_SECRET_KEY=sb_secret_...",
        |_| "SUPABASE_SECRET_KEY is set".to_owned(),
    );
    let storage =
        project.clone().and(secret_key).and_then(|_| deployment.supabase.storage().map_err(|_| "supabase_url"));
    let provider_key =
        report.setting("provider_key", deployment.provider.key(), "export OPENAI_API_KEY=sk-...", |_| {
            format!("OPENAI_API_KEY is set, for {}", shown(&deployment.provider.openai_base_url))
        });
    let provider = report
        .trusted("provider_ca", "CAROUSEL_PROVIDER_CA", "the provider", deployment.provider.certificates())
        .and(provider_key)
        .and_then(|_| deployment.provider.settings().map_err(|_| "provider_key"));
    let _ = report.setting("prices", deployment.provider.price_table(), "unset CAROUSEL_PRICES", |_| {
        "prices can be read".to_owned()
    });
    let spool = deployment.worker.spool();
    let _ = report.setting(
        "spool",
        tempfile::tempdir_in(&spool)
            .map_err(|error| anyhow::anyhow!("source images can't be spooled in {}: {error}", spool.display())),
        "export CAROUSEL_SPOOL=/a/folder/that/can/be/written",
        |_| format!("source images are spooled in {}", spool.display()),
    );
    files::look(&mut report, deployment);
    let publishable_key = deployment.supabase.publishable_key().map_err(|_| "publishable_key");
    (report, Settings { database, project, storage, publishable_key, provider })
}

/// The key for clients, which the worker itself does without.
pub(super) fn publishable_key(report: &mut Report, deployment: &Deployment) {
    match deployment.supabase.publishable_key() {
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
    ) -> Given<T> {
        match read {
            Ok(value) => {
                self.passed(check, well(&value));
                Ok(value)
            }
            Err(error) => {
                self.failed(check, format!("{error:#}"), mend);
                Err(check)
            }
        }
    }

    /// Takes the certificates that `variable` names for `whom`.
    fn trusted(
        &mut self,
        check: &'static str,
        variable: &str,
        whom: &str,
        read: anyhow::Result<Vec<CertificateDer<'static>>>,
    ) -> Given<Vec<CertificateDer<'static>>> {
        self.setting(check, read, &format!("export {variable}=/path/of/the/certificate.crt"), |own| match own.len() {
            0 => format!("public authorities only are trusted for {whom}"),
            own => format!(
                "public authorities and {own} certificates of {variable} and SSL_CERT_FILE are trusted for {whom}"
            ),
        })
    }
}

/// Host, port and role of a database, without the password.
pub(super) fn named(database: &tokio_postgres::Config) -> String {
    use tokio_postgres::config::Host;
    let host = match database.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "no host".to_owned(),
    };
    let port = database.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port} as {}", database.get_user().unwrap_or("nobody"))
}
