//! Options of the project's API.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use url::Url;

use super::{certificates, given};

/// How to reach the project's API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Supabase")]
pub struct Supabase {
    /// Address of the project, for example <https://abcdefgh.supabase.co>
    #[arg(long, env = "SUPABASE_URL", value_name = "URL")]
    pub supabase_url: Option<String>,

    /// Certificate to trust for SUPABASE_URL, in PEM
    #[arg(long, env = "CAROUSEL_SUPABASE_CA", value_name = "FILE")]
    pub supabase_ca: Option<PathBuf>,

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
    pub fn storage(&self) -> anyhow::Result<crate::supabase::storage::Settings> {
        let secret_key = self.secret_key()?;
        Ok(crate::supabase::storage::Settings {
            url: self.url()?,
            certificates: self.certificates()?,
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
    pub fn project(&self) -> anyhow::Result<crate::supabase::Project> {
        let key = self.publishable_key()?;
        ensure!(
            !key.starts_with("sb_secret_"),
            "SUPABASE_PUBLISHABLE_KEY holds a secret key: use the one that begins with sb_publishable_"
        );
        self.project_by(key.into())
    }

    /// The project as the holder of this key uses it.
    ///
    /// # Errors
    /// When the URL is missing, or the certificates can't be trusted.
    pub fn project_by(&self, key: SecretString) -> anyhow::Result<crate::supabase::Project> {
        Ok(crate::supabase::Project::new(&self.url()?, key, &self.certificates()?)?)
    }

    /// The certificates to trust besides the public authorities'.
    ///
    /// # Errors
    /// When their file can't be read, has no certificate in it, or one that is broken.
    pub fn certificates(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        certificates::read("CAROUSEL_SUPABASE_CA", self.supabase_ca.as_deref())
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
