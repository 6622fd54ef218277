//! Checks at the start: what would fail at the first job fails now, with the line that mends it.

use anyhow::Context;

use super::worker::Built;
use crate::{config, migrations, queue};

/// Grants and memberships that the worker relies on, each with what mends it. One row for each that is missing.
const FAULTS: &str = "
    select 'the table ' || name || ' is not in the publication supabase_realtime: clients see no progress; run: alter publication supabase_realtime add table public.' || name
    from unnest(array['image_generation_jobs', 'generated_carousel_images', 'image_generation_templates']) as name
    where not exists (
        select from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = name
    )
    union all
    select 'the role ' || current_user || ' may not write ' || name || '; run: grant carousel_worker to ' || quote_ident(current_user)
    from unnest(array['carousel_private.queue', 'carousel_private.leases', 'carousel_private.provider_calls']) as name
    where exists (
        select from unnest(array['select', 'insert', 'update', 'delete']) as privilege where not has_table_privilege(name, privilege)
    )";

/// A connection of its own.
pub(super) async fn connect(database: &config::Database) -> anyhow::Result<tokio_postgres::Client> {
    let settings = database.connect()?;
    let tls = queue::tls(settings.certificates.as_ref()).context("CAROUSEL_DATABASE_CA can't be read")?;
    let (client, connection) = settings.database.connect(tls).await.map_err(|error| {
        let unknown_signer = format!("{error:?}").contains("UnknownIssuer");
        let hint = if unknown_signer {
            "; its certificate is signed by Supabase: download it (Database Settings, SSL Configuration) and name it in CAROUSEL_DATABASE_CA"
        } else {
            "; check DATABASE_URL"
        };
        anyhow::anyhow!("the database can't be reached: {error}{hint}")
    })?;
    // It ends with the client.
    tokio::spawn(connection);
    Ok(client)
}

/// Checks database, schema, listening, bucket and provider key, in this order.
pub(super) async fn check(
    built: &Built,
    database: &config::Database,
    provider: &config::Provider,
) -> anyhow::Result<()> {
    let client = connect(database).await?;

    // Nothing: no such schema. False: not for this role.
    let visible =
        "select (select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = 'carousel_private')";
    match client.query_one(visible, &[]).await?.get(0) {
        Some(true) => {}
        Some(false) => anyhow::bail!(
            "the role in DATABASE_URL may not see carousel_private: connect as carousel_worker or postgres"
        ),
        None => anyhow::bail!("the schema is missing: run `carousel migrate` (or `supabase db push`) as postgres"),
    }
    let faults: Vec<String> = client.query(FAULTS, &[]).await?.iter().map(|row| row.get(0)).collect();
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\ncarousel: "));
    // The worker's own role need not see the history.
    if let Ok(missing) = migrations::missing(&client).await {
        anyhow::ensure!(
            missing.is_empty(),
            "the schema lacks {}: run `carousel migrate` (or `supabase db push`)",
            missing.join(", ")
        );
    }
    drop(client);

    built.worker.listener.probe().await?;
    built
        .storage
        .check()
        .await
        .context("the bucket generated-carousels can't be used: check SUPABASE_URL and SUPABASE_SECRET_KEY")?;
    built.provider.check().await.with_context(|| {
        format!("the provider at {} can't be used: check OPENAI_API_KEY and OPENAI_BASE_URL", provider.openai_base_url)
    })?;
    Ok(())
}
