//! The project's API with each of its keys, the bucket, and the provider.

use std::fmt::Display;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::Report;
use super::settings::{Given, Settings, shown};
use crate::job::MAX_SOURCE_BYTES;
use crate::outgoing;
use crate::provider::{self, Learnt, Provider};
use crate::supabase::storage::{self, Storage, Taken};
use crate::supabase::{Change, Project};

/// What mends it when nobody answers.
const NETWORK: &str = "check SUPABASE_URL, and the way there: network, proxy, certificate";
/// How long the API may take for one row.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the worker stores; the bucket must take it.
const PICTURES: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];

/// Looks at the bucket, and with `wide` at the rows' API. A bucket that is `shared` with the app is as the app wants it.
pub(super) async fn look(settings: &Settings, wide: bool, shared: bool) -> Report {
    let mut report = Report::default();
    bucket(&mut report, settings, shared).await;
    if wide {
        let secret =
            settings.storage.as_ref().map(|storage| storage.secret_key.expose_secret()).map_err(|first| *first);
        rows(&mut report, "secret_key_rows", "SUPABASE_SECRET_KEY", &settings.project, &secret).await;
        let publishable = settings.publishable_key.as_deref().map_err(|first| *first);
        rows(&mut report, "publishable_key_rows", "SUPABASE_PUBLISHABLE_KEY", &settings.project, &publishable).await;
        realtime(&mut report, settings).await;
    }
    report
}

async fn bucket(report: &mut Report, settings: &Settings, shared: bool) {
    let settings = match &settings.storage {
        Ok(settings) => settings,
        Err(first) => return report.skipped("bucket", first),
    };
    let storage = match Storage::new(settings.clone()) {
        Ok(storage) => storage,
        Err(error) => return report.failed("bucket", error.to_string(), "check SUPABASE_URL and SUPABASE_SECRET_KEY"),
    };
    let taken = match storage.check().await {
        Ok(taken) => taken,
        Err(error) => {
            let mend = match error {
                storage::Error::NoBucket { .. } => "run `carousel migrate` (or `supabase db push`) as postgres",
                storage::Error::Unauthorized { .. } => "export SUPABASE_SECRET_KEY=sb_secret_...",
                storage::Error::Connect { .. } | storage::Error::Timeout { .. } | storage::Error::Reset { .. } => {
                    NETWORK
                }
                _ => "check SUPABASE_URL and SUPABASE_SECRET_KEY",
            };
            return report.failed("bucket", format!("the bucket generated-carousels can't be used: {error}"), mend);
        }
    };
    let private = "update storage.buckets set public = false where id = 'generated-carousels';";
    let refused: Vec<&str> = PICTURES.into_iter().filter(|kind| !taken.takes(kind)).collect();
    if is_open(&taken, shared) {
        report.failed(
            "bucket",
            "the bucket generated-carousels is public: everyone who knows a path can read it",
            private,
        );
    } else if !refused.is_empty() {
        report.failed(
            "bucket",
            format!("the bucket generated-carousels does not take {}", refused.join(", ")),
            format!(
                "update storage.buckets set allowed_mime_types = allowed_mime_types || '{{{}}}' where id = 'generated-carousels';",
                refused.join(",")
            ),
        );
    } else if let Some(bytes) = taken.bytes.filter(|bytes| *bytes < MAX_SOURCE_BYTES) {
        report.warning(
            "bucket",
            format!(
                "the bucket generated-carousels takes files of {} MB at most, and sources may have 50",
                bytes >> 20
            ),
            format!(
                "update storage.buckets set file_size_limit = {MAX_SOURCE_BYTES} where id = 'generated-carousels';"
            ),
        );
    } else if taken.is_public {
        report.warning(
            "bucket",
            "the bucket generated-carousels, which the app shares, is public: everyone who knows a path can read photos and pictures",
            private,
        );
    } else {
        report.passed("bucket", "generated-carousels is private and takes pictures of 50 MB");
    }
}

/// Whether the bucket is public against its owner's will: one that the app shares is as the app wants it.
pub(super) fn is_open(taken: &Taken, shared: bool) -> bool {
    taken.is_public && !shared
}

/// Reads a row of the jobs with a key.
async fn rows(
    report: &mut Report,
    check: &'static str,
    variable: &str,
    project: &Given<(Url, Vec<CertificateDer<'static>>)>,
    key: &Given<&str>,
) {
    let ((url, certificates), key) = match (project, key) {
        (Ok(project), Ok(key)) => (project, key),
        (Err(first), _) | (_, Err(first)) => return report.skipped(check, first),
    };
    let (status, answer) = match ask(url, certificates, key).await {
        Ok(answer) => answer,
        Err(error) => {
            return report.failed(
                check,
                format!(
                    "{} can't be reached: {}",
                    shown(url),
                    outgoing::reason(&error, error.url(), "CAROUSEL_SUPABASE_CA")
                ),
                NETWORK,
            );
        }
    };
    let said = answer["message"].as_str().unwrap_or("it gives no reason");
    match (status, answer["code"].as_str().unwrap_or_default()) {
        (200, _) => report.passed(check, format!("PostgREST answers {variable}")),
        // Who has only the key for clients is let in and sees nothing.
        (_, "42501") if check == "publishable_key_rows" => {
            report.passed(check, format!("PostgREST answers {variable}, and shows nothing to who is not signed in"));
        }
        (_, "42501") => report.failed(
            check,
            format!("PostgREST does not let {variable} read jobs: {said}"),
            "run `carousel doctor` with DATABASE_URL set, which names the grant that is missing",
        ),
        (_, "PGRST205" | "42P01") => report.failed(
            check,
            format!("PostgREST does not know the tables: {said}"),
            "run `carousel migrate` as postgres, then: notify pgrst, 'reload schema';",
        ),
        (_, "PGRST106") => report.failed(
            check,
            format!("the API does not show the schema public: {said}"),
            "add public to the exposed schemas in the project's API settings",
        ),
        (401 | 403, _) => {
            report.failed(
                check,
                format!("the API does not accept {variable}: {said}"),
                format!("export {variable}=... (the project's API settings)"),
            );
        }
        (status, _) => report.failed(
            check,
            format!("PostgREST answers {status}: {said}"),
            "check SUPABASE_URL, and whether the project is paused",
        ),
    }
}

/// Status and answer of a request for one job.
async fn ask(url: &Url, certificates: &[CertificateDer<'static>], key: &str) -> Result<(u16, Value), reqwest::Error> {
    let client = outgoing::client(certificates)?.timeout(PATIENCE).build()?;
    let address = format!("{}/rest/v1/image_generation_jobs?select=id&limit=1", url.as_str().trim_end_matches('/'));
    let answer = client.get(address).header("apikey", key).bearer_auth(key).send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.json().await.unwrap_or(Value::Null)))
}

/// Asks Realtime to tell of jobs, as every page that shows progress does.
async fn realtime(report: &mut Report, settings: &Settings) {
    let storage = match &settings.storage {
        Ok(storage) => storage,
        Err(first) => return report.skipped("realtime", first),
    };
    let heard = match Project::new(&storage.url, storage.secret_key.clone(), &storage.certificates) {
        Ok(project) => {
            // With a filter that lets nothing through: what people's jobs do is not for the doctor.
            let jobs =
                Change { table: "image_generation_jobs".to_owned(), filter: Some(format!("id=eq.{}", Uuid::nil())) };
            let caller = project.key_holder();
            // Boxed: what a TLS handshake holds is large.
            Box::pin(caller.changes(&[jobs])).await.map(drop).map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    match heard {
        Ok(()) => report.passed("realtime", "Realtime tells of changes of jobs"),
        Err(error) => report.warning(
            "realtime",
            format!("Realtime does not tell of changes: {error}"),
            "see whether Realtime is on for this project, and the publication in order",
        ),
    }
}

/// Looks at the provider.
pub(super) async fn provider(settings: &Settings) -> Report {
    let mut report = Report::default();
    let settings = match &settings.provider {
        Ok(settings) => settings,
        Err(first) => {
            report.skipped("provider", first);
            return report;
        }
    };
    let address = shown(&settings.base_url);
    let unusable = |error: &dyn Display| format!("the provider at {address} can't be used: {error}");
    let both = "check OPENAI_API_KEY and OPENAI_BASE_URL";
    let checked = match Provider::new(settings.clone()) {
        Ok(provider) => provider.check().await,
        Err(error) => {
            report.failed("provider", unusable(&error), both);
            return report;
        }
    };
    match checked {
        Ok(Learnt::KeyAccepted) => report.passed("provider", format!("{address} accepts the key")),
        Ok(Learnt::NothingOfTheKey) => report.warning(
            "provider",
            format!("{address} makes images and has no list of models, so whether it accepts the key is not known"),
            "run a job of one image, and check OPENAI_API_KEY if it does not end",
        ),
        Err(error) => {
            let mend = match error {
                provider::Error::NotFound { .. } => "export OPENAI_BASE_URL=https://api.openai.com/v1 (with the /v1)",
                _ => both,
            };
            report.failed("provider", unusable(&error), mend);
        }
    }
    report
}
