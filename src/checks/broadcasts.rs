//! Each person's private channel: Realtime is there for it, with the policies and the triggers that a function of the schema makes.

use tokio_postgres::{Client, Error};

use super::Report;

/// What `carousel_private.set_up_broadcasts` makes: six triggers and three policies.
const MADE: (i64, i64) = (6, 3);

/// The catalogs are read by name: unlike casts to regclass, they may be read by every role.
const LOOK: &str = "
    select
        exists (
            select from pg_class join pg_namespace on pg_namespace.oid = relnamespace where nspname = 'realtime' and relname = 'messages'
        ) and exists (
            select from pg_proc join pg_namespace on pg_namespace.oid = pronamespace where nspname = 'realtime' and proname = 'send'
        ),
        (
            select count(*) from pg_trigger join pg_class on pg_class.oid = tgrelid join pg_namespace on pg_namespace.oid = relnamespace
            where nspname = 'public' and relname in ('image_generation_jobs', 'generated_carousel_images')
                and tgname in ('broadcast_added', 'broadcast_changed', 'broadcast_deleted') and tgenabled in ('O', 'A')
        ),
        (
            select count(*) from pg_policies
            where schemaname = 'realtime' and tablename = 'messages' and starts_with(policyname, 'carousel: ')
        )";

const MEND: &str = "select carousel_private.set_up_broadcasts();";

/// Looks whether changes are broadcast to their owners.
pub(super) async fn look(report: &mut Report, client: &Client) -> Result<(), Error> {
    let row = client.query_one(LOOK, &[]).await?;
    let (is_there, made): (bool, (i64, i64)) = (row.get(0), (row.get(1), row.get(2)));
    if is_there && made == MADE {
        report.passed("broadcasts", "each person has a private channel, carousel:{user_id}");
    } else if is_there {
        let (triggers, policies) = made;
        report.warning(
            "broadcasts",
            format!("the private channels are not whole, {triggers} of {} triggers and {policies} of {} policies: pages fall back to postgres_changes, which costs more with each who watches", MADE.0, MADE.1),
            MEND,
        );
    } else {
        report.warning(
            "broadcasts",
            "Realtime has no broadcasts in this database: pages fall back to postgres_changes, or look",
            format!("switch Realtime on for the project, and then run as postgres: {MEND}"),
        );
    }
    Ok(())
}
