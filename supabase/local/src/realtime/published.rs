//! Which published tables a client's bindings name, and whether its role may filter them so.

use deadpool_postgres::Pool;
use serde_json::Value;

use super::binding::{Binding, Filter};

/// Reads the entries of `config.postgres_changes` and finds each one's tables, by object id.
///
/// # Errors
/// The sentence that a client is told in a `system` message; nothing is subscribed to then.
pub async fn resolve(pool: &Pool, role: &str, entries: &[Value]) -> Result<Vec<(Binding, Vec<u32>)>, String> {
    let mut resolved = Vec::new();
    for entry in entries {
        let binding = Binding::parse(entry)?;
        let tables = find(pool, role, &binding).await.map_err(|error| refusal(&binding, Some(&error)))?;
        if tables.is_empty() {
            return Err(refusal(&binding, None));
        }
        resolved.push((binding, tables));
    }
    Ok(resolved)
}

async fn find(pool: &Pool, role: &str, binding: &Binding) -> anyhow::Result<Vec<u32>> {
    let client = pool.get().await?;
    let published = "select format('%I.%I', schemaname, tablename)::regclass::oid from pg_publication_tables
                     where pubname = 'supabase_realtime' and $1 in (schemaname::text, '*') and $2 in (tablename::text, '*')";
    let tables = client.query(published, &[&binding.schema, &binding.table]).await?;
    let tables: Vec<u32> = tables.iter().map(|row| row.get(0)).collect();
    for table in &tables {
        for Filter { column, operator, value, negated } in &binding.filters {
            let check = "select realtime.check_filter($1::oid::regclass, $2::text::name, $3, $4, $5, $6)";
            client.execute(check, &[table, &role, column, operator, value, negated]).await?;
        }
        for column in binding.select.iter().flatten() {
            let check = "select realtime.column_type($1::oid::regclass, $2::text::name, $3, 'select')";
            client.execute(check, &[table, &role, column]).await?;
        }
    }
    Ok(tables)
}

/// In the words of the real server.
fn refusal(binding: &Binding, error: Option<&anyhow::Error>) -> String {
    let Binding { action, schema, table, filters, select, .. } = binding;
    let filters: Vec<String> = filters
        .iter()
        .map(|filter| format!("{{{:?}, {:?}, {:?}, {}}}", filter.column, filter.operator, filter.value, filter.negated))
        .collect();
    let select = select.as_ref().map_or("nil".to_owned(), |names| format!("{names:?}"));
    let event = action.map_or("*", |action| action.as_str());
    let given = format!(
        "[event: {event}, schema: {schema}, table: {table}, filters: [{}], select: {select}]",
        filters.join(", ")
    );
    let Some(error) = error else {
        return format!(
            "Unable to subscribe to changes with given parameters. \
             Please check Realtime is enabled for the given connect parameters: {given}"
        );
    };
    let database = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::as_db_error);
    let exception = database.map_or_else(
        || format!("{error:#}"),
        |error| {
            let condition = match error.code().code() {
                "P0001" => "(raise_exception) ",
                "22P02" => "(invalid_text_representation) ",
                "42883" => "(undefined_function) ",
                _ => "",
            };
            format!("{} {} {condition}{}", error.severity(), error.code().code(), error.message())
        },
    );
    format!(
        "Unable to subscribe to changes with given parameters. \
         An exception happened so please check your connect parameters: {given}. Exception: {exception}"
    )
}
