//! Whether DATABASE_URL and SUPABASE_URL name one project.

use super::Report;
use super::settings::{Settings, named, shown};
use crate::project::{self, Doubt};
use crate::queue::{self, Queue};
use crate::supabase::Project;

/// Looks, when the database is `usable`.
pub(super) async fn look(settings: &Settings, usable: bool) -> Report {
    let mut report = Report::default();
    let check = "one_project";
    let (database, storage) = match (&settings.database, &settings.storage) {
        (Ok(database), Ok(storage)) if usable => (database, storage),
        (Err(first), _) | (_, Err(first)) => {
            report.skipped(check, first);
            return report;
        }
        _ => {
            report.skipped(check, "schema");
            return report;
        }
    };
    let place = queue::Settings {
        database: database.place.clone(),
        certificates: database.certificates.clone(),
        connections: 1,
    };
    let api = Project::new(&storage.url, storage.secret_key.clone(), &storage.certificates)
        .map(|project| project.key_holder());
    let proven = match (Queue::new(&place), api) {
        (Ok(queue), Ok(api)) => project::prove(&queue, &api).await,
        (Err(error), _) => Err(Doubt::Unproven(error.to_string())),
        (_, Err(error)) => Err(Doubt::Unproven(error.to_string())),
    };
    match proven {
        Ok(()) => report.passed(check, "DATABASE_URL and SUPABASE_URL are of one project"),
        Err(doubt @ Doubt::Other) => report.failed(
            check,
            format!("{doubt}: DATABASE_URL names {}, SUPABASE_URL is {}", named(&database.place), shown(&storage.url)),
            "take both from the same project (Connect in its dashboard), and the keys as well",
        ),
        Err(doubt @ Doubt::Unknown) => report.failed(
            check,
            format!("{doubt}: DATABASE_URL names {}, SUPABASE_URL is {}", named(&database.place), shown(&storage.url)),
            "take both from the same project (Connect in its dashboard); if they are, in its SQL editor: notify pgrst, 'reload schema';",
        ),
        Err(doubt @ Doubt::Unproven(_)) => report.warning(
            check,
            format!("{doubt}: the worker removes nothing before it is proven"),
            "see whether the project's API is up, and SUPABASE_SECRET_KEY right",
        ),
    }
    report
}
