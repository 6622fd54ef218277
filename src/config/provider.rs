//! Options of the image provider.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use url::Url;

use super::{certificates, given, named};
use crate::provider::PriceTable;

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

    /// Certificate to trust for OPENAI_BASE_URL, in PEM
    #[arg(long, env = "CAROUSEL_PROVIDER_CA", value_name = "FILE")]
    pub provider_ca: Option<PathBuf>,

    /// Header that carries the key; `authorization` sends `Bearer KEY`, any other name (Azure: api-key) the key alone
    #[arg(long, env = "CAROUSEL_AUTH_HEADER", value_name = "NAME", default_value = "authorization")]
    pub auth_header: String,

    /// Query string to add to every call (Azure: api-version=...)
    #[arg(long, env = "CAROUSEL_QUERY", value_name = "QUERY")]
    pub query: Option<String>,

    /// Model for jobs that name none
    #[arg(long, env = "CAROUSEL_MODEL", value_name = "MODEL", default_value = "gpt-image-2")]
    pub model: String,

    /// Models that jobs may name besides CAROUSEL_MODEL, by comma
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

    /// The price table, with the operator's own prices in it.
    ///
    /// # Errors
    /// When those are not understood.
    pub fn price_table(&self) -> anyhow::Result<PriceTable> {
        let table = PriceTable::default();
        match self.prices.as_deref().filter(|text| !text.trim().is_empty()) {
            None => Ok(table),
            Some(text) => {
                let own = serde_json::from_str(text)
                    .context("CAROUSEL_PRICES is not understood; see `carousel worker --help`")?;
                Ok(table.overridden_by(own))
            }
        }
    }

    /// The key.
    ///
    /// # Errors
    /// When it is missing.
    pub fn key(&self) -> anyhow::Result<SecretString> {
        let key = given(self.openai_api_key.as_ref()).context(
            "OPENAI_API_KEY is not set: create one at the provider, or try everything without one by `carousel dev`",
        )?;
        Ok(key.to_owned().into())
    }

    /// The certificates to trust besides the public authorities'.
    ///
    /// # Errors
    /// When their file can't be read, has no certificate in it, or one that is broken.
    pub fn certificates(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        certificates::read("CAROUSEL_PROVIDER_CA", self.provider_ca.as_deref())
    }

    /// Settings of the provider client.
    ///
    /// # Errors
    /// When the key is missing, or the certificates can't be trusted.
    pub fn settings(&self) -> anyhow::Result<crate::provider::Settings> {
        Ok(crate::provider::Settings {
            base_url: self.openai_base_url.clone(),
            certificates: self.certificates()?,
            api_key: self.key()?,
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
