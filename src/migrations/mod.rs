//! Applies `supabase/migrations` with refinery, the same files that `supabase db push` applies, and tells what is applied.
//!
//! A migration is known by its name, which is never used twice; its version is only an order, and another one in an app that has them among its own.
//! What is applied stands in the schema itself, in `carousel_private.migrations`: the history of each tool knows what that tool did, and the Supabase
//! CLI's is the app's.

mod adopt;
mod app;
mod apply;
mod history;

pub use adopt::{Adoption, Before, Carried, adopt, before, makes_our_tables};
pub use app::{File, State, plan, wrapped};
pub use apply::apply;
pub use history::{missing, remote};

/// Version, name and text of every migration, in order.
pub const MIGRATIONS: &[(&str, &str, &str)] = &[
    migration("20261122000000", "guard", include_str!("../../supabase/migrations/20261122000000_guard.sql")),
    migration("20261122000100", "foundation", include_str!("../../supabase/migrations/20261122000100_foundation.sql")),
    migration("20261122000200", "templates", include_str!("../../supabase/migrations/20261122000200_templates.sql")),
    migration("20261122000300", "jobs", include_str!("../../supabase/migrations/20261122000300_jobs.sql")),
    migration("20261122000400", "images", include_str!("../../supabase/migrations/20261122000400_images.sql")),
    migration(
        "20261122000500",
        "private_tables",
        include_str!("../../supabase/migrations/20261122000500_private_tables.sql"),
    ),
    migration(
        "20261122000600",
        "queue_order",
        include_str!("../../supabase/migrations/20261122000600_queue_order.sql"),
    ),
    migration("20261122000650", "job_rules", include_str!("../../supabase/migrations/20261122000650_job_rules.sql")),
    migration("20261122000670", "variables", include_str!("../../supabase/migrations/20261122000670_variables.sql")),
    migration(
        "20261122000700",
        "job_triggers",
        include_str!("../../supabase/migrations/20261122000700_job_triggers.sql"),
    ),
    migration(
        "20261122000800",
        "cleanup_triggers",
        include_str!("../../supabase/migrations/20261122000800_cleanup_triggers.sql"),
    ),
    migration("20261122000900", "storage", include_str!("../../supabase/migrations/20261122000900_storage.sql")),
    migration(
        "20261122000910",
        "shared_bucket",
        include_str!("../../supabase/migrations/20261122000910_shared_bucket.sql"),
    ),
    migration("20261122001000", "realtime", include_str!("../../supabase/migrations/20261122001000_realtime.sql")),
    migration(
        "20261122001100",
        "provider_pause",
        include_str!("../../supabase/migrations/20261122001100_provider_pause.sql"),
    ),
    migration("20261122001200", "sweep", include_str!("../../supabase/migrations/20261122001200_sweep.sql")),
    migration("20261122001300", "dashboard", include_str!("../../supabase/migrations/20261122001300_dashboard.sql")),
    migration(
        "20261125000100",
        "leased_while_pending",
        include_str!("../../supabase/migrations/20261125000100_leased_while_pending.sql"),
    ),
    migration(
        "20261125000200",
        "count_images_of_many",
        include_str!("../../supabase/migrations/20261125000200_count_images_of_many.sql"),
    ),
    migration(
        "20261125000300",
        "turns_by_index",
        include_str!("../../supabase/migrations/20261125000300_turns_by_index.sql"),
    ),
    migration(
        "20261125000400",
        "pause_planned_once",
        include_str!("../../supabase/migrations/20261125000400_pause_planned_once.sql"),
    ),
    migration(
        "20261201040000",
        "objects_of_calls",
        include_str!("../../supabase/migrations/20261201040000_objects_of_calls.sql"),
    ),
    migration("20261201040100", "uploads", include_str!("../../supabase/migrations/20261201040100_uploads.sql")),
    migration(
        "20261201040200",
        "one_project",
        include_str!("../../supabase/migrations/20261201040200_one_project.sql"),
    ),
    migration(
        "20261201050000",
        "billed_tries",
        include_str!("../../supabase/migrations/20261201050000_billed_tries.sql"),
    ),
    migration(
        "20261201060000",
        "pause_storage",
        include_str!("../../supabase/migrations/20261201060000_pause_storage.sql"),
    ),
    migration(
        "20261201080000",
        "room_in_prompt",
        include_str!("../../supabase/migrations/20261201080000_room_in_prompt.sql"),
    ),
    migration(
        "20261201090000",
        "image_updated_at",
        include_str!("../../supabase/migrations/20261201090000_image_updated_at.sql"),
    ),
    migration("20261201090100", "broadcasts", include_str!("../../supabase/migrations/20261201090100_broadcasts.sql")),
    migration("20261201100000", "slides", include_str!("../../supabase/migrations/20261201100000_slides.sql")),
    migration(
        "20261201100100",
        "slides_validated",
        include_str!("../../supabase/migrations/20261201100100_slides_validated.sql"),
    ),
    migration(
        "20261201110000",
        "own_user_id",
        include_str!("../../supabase/migrations/20261201110000_own_user_id.sql"),
    ),
    migration(
        "20261201120000",
        "limits_of_the_ledger",
        include_str!("../../supabase/migrations/20261201120000_limits_of_the_ledger.sql"),
    ),
    migration(
        "20261201120100",
        "limits_of_requests",
        include_str!("../../supabase/migrations/20261201120100_limits_of_requests.sql"),
    ),
    migration(
        "20261201130000",
        "search_paths",
        include_str!("../../supabase/migrations/20261201130000_search_paths.sql"),
    ),
    migration("20261201130100", "few_words", include_str!("../../supabase/migrations/20261201130100_few_words.sql")),
    migration("20261201235900", "record", include_str!("../../supabase/migrations/20261201235900_record.sql")),
    migration("20261202020000", "few_turns", include_str!("../../supabase/migrations/20261202020000_few_turns.sql")),
    migration("20261202020100", "jobs_by_id", include_str!("../../supabase/migrations/20261202020100_jobs_by_id.sql")),
    migration(
        "20261202020200",
        "resumed_first",
        include_str!("../../supabase/migrations/20261202020200_resumed_first.sql"),
    ),
    migration(
        "20261202030000",
        "waiting_by_stage",
        include_str!("../../supabase/migrations/20261202030000_waiting_by_stage.sql"),
    ),
    migration(
        "20261202040000",
        "carried_images",
        include_str!("../../supabase/migrations/20261202040000_carried_images.sql"),
    ),
    migration(
        "20261202040100",
        "carried_images_validated",
        include_str!("../../supabase/migrations/20261202040100_carried_images_validated.sql"),
    ),
    migration(
        "20261202040200",
        "carried_objects_stay",
        include_str!("../../supabase/migrations/20261202040200_carried_objects_stay.sql"),
    ),
    migration(
        "20261202050000",
        "model_pauses",
        include_str!("../../supabase/migrations/20261202050000_model_pauses.sql"),
    ),
    migration(
        "20261202070000",
        "turns_by_halves",
        include_str!("../../supabase/migrations/20261202070000_turns_by_halves.sql"),
    ),
    migration(
        "20261202070100",
        "broadcasts_at_once",
        include_str!("../../supabase/migrations/20261202070100_broadcasts_at_once.sql"),
    ),
    migration("20261202080000", "endings", include_str!("../../supabase/migrations/20261202080000_endings.sql")),
];

const fn migration(
    version: &'static str,
    name: &'static str,
    text: &'static str,
) -> (&'static str, &'static str, &'static str) {
    (version, name, text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::MIGRATIONS;

    #[test]
    fn every_file_of_the_migrations_folder_is_applied() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("names are text"))
            .collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS.iter().map(|(version, name, _)| format!("{version}_{name}.sql")).collect();
        assert_eq!(files, listed);
    }

    /// A name is what a migration is known by, and what is written later says so itself.
    #[test]
    fn every_migration_is_entered_in_the_record_once() {
        let names: BTreeSet<_> = MIGRATIONS.iter().map(|(_, name, _)| name).collect();
        assert_eq!(names.len(), MIGRATIONS.len());
        let (record, _, earlier) = MIGRATIONS.iter().find(|(_, name, _)| *name == "record").expect("it is there");
        for (version, name, text) in MIGRATIONS {
            let row = format!("('{version}', '{name}')");
            let place = if version <= record { earlier } else { text };
            assert_eq!(place.matches(&row).count(), 1, "{row}");
        }
    }
}
