//! Who is told of a change: filters and policies are decided in the database, for each subscriber, under its role and claims.

use std::collections::HashMap;

use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::binding::{Binding, Filter};
use super::hub::{Hub, Subscriber};
use super::pgoutput::{Action, Change};
use super::row::{self, Column, Table, Values};
use crate::caller::Caller;
use crate::database::as_caller;

/// Sends a change to everyone who listens to its table, wants it and may see it. What PostgreSQL refuses for one subscriber doesn't
/// keep the change from the others.
///
/// # Errors
/// When the connection is gone.
pub async fn deliver(client: &mut Client, hub: &Hub, change: &Change) -> Result<(), tokio_postgres::Error> {
    let mut tables = HashMap::new();
    for subscriber in hub.subscribers(change.relation.oid) {
        match deliver_to(client, &subscriber, &mut tables, change).await {
            Err(error) if error.as_db_error().is_some() => {
                tracing::warn!(%error, table = change.relation.table, "a change can't be shown to a subscriber of Realtime");
            }
            done => done?,
        }
    }
    Ok(())
}

async fn deliver_to(
    client: &mut Client,
    subscriber: &Subscriber,
    tables: &mut HashMap<String, Table>,
    change: &Change,
) -> Result<(), tokio_postgres::Error> {
    let listens = |(binding, tables): &&(Binding, Vec<u32>)| {
        binding.wants(change.action) && tables.contains(&change.relation.oid)
    };
    let bindings: Vec<&Binding> = subscriber.bindings.iter().filter(listens).map(|(binding, _)| binding).collect();
    let send = |ids: Vec<u32>, data: serde_json::Value| {
        subscriber.member.push("postgres_changes", json!({ "ids": ids, "data": data }));
    };
    let ids = |bindings: &[&Binding]| bindings.iter().map(|binding| binding.id).collect::<Vec<_>>();
    if bindings.is_empty() {
        return Ok(());
    }
    let role = &subscriber.caller.role;
    if !tables.contains_key(role) {
        tables.insert(role.clone(), Table::read(client, change.relation.oid, role).await?);
    }
    let table = &tables[role];
    if let Some(error) = unshowable(table, change) {
        send(ids(&bindings), row::refusal(change, error));
        return Ok(());
    }
    let tuple = row::values(change, if change.action == Action::Delete { &change.old } else { &change.new });
    let mut passing = Vec::new();
    for binding in bindings {
        if passes(client, table, &tuple, &binding.filters).await? {
            passing.push(binding);
        }
    }
    if passing.is_empty() {
        return Ok(());
    }
    if table.has_policies && change.action != Action::Delete {
        match is_visible(client, &subscriber.caller, table, change, &tuple).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if error.as_db_error().is_some() => {
                tracing::warn!(%error, table = change.relation.table, "a policy fails for a subscriber of Realtime");
                let error = "Error 500: Internal Server Error, RLS policy evaluation failed";
                send(ids(&passing), row::refusal(change, error));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    // One message for each selection of columns.
    while let Some(first) = passing.first().map(|binding| binding.select.clone()) {
        let (same, other) = passing.iter().partition::<Vec<_>, _>(|binding| binding.select == first);
        send(ids(&same), row::data(client, table, change, first.as_deref()).await?);
        passing = other;
    }
    Ok(())
}

/// Why a row can't be shown to a role at all.
fn unshowable(table: &Table, change: &Change) -> Option<&'static str> {
    if change.action == Action::Delete {
        None
    } else if table.key().next().is_none() {
        Some("Error 400: Bad Request, no primary key")
    } else if table.key().any(|column| !column.is_selectable) {
        Some("Error 401: Unauthorized")
    } else {
        None
    }
}

/// Whether the row passes all filters; one whose column the log lacks doesn't pass.
async fn passes(
    client: &Client,
    table: &Table,
    tuple: &Values<'_>,
    filters: &[Filter],
) -> Result<bool, tokio_postgres::Error> {
    for Filter { column, operator, value: wanted, negated } in filters {
        let (Some(value), Some(column)) = (tuple.get(column.as_str()), table.column(column)) else { return Ok(false) };
        let matches = "select realtime.matches($1, $2::oid::regtype, $3, $4, $5)";
        let matched = client.query_one(matches, &[value, &column.type_oid, operator, wanted, negated]).await?;
        if !matched.get::<_, bool>(0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the policies show the caller the row with this primary key, as it is now.
async fn is_visible(
    client: &mut Client,
    caller: &Caller,
    table: &Table,
    change: &Change,
    tuple: &Values<'_>,
) -> Result<bool, tokio_postgres::Error> {
    let keys: Vec<(&Column, Option<&str>)> =
        table.key().map(|column| (column, tuple.get(column.name.as_str()).copied().flatten())).collect();
    let conditions = keys.iter().enumerate();
    let conditions: Vec<String> = conditions
        .map(|(at, (column, _))| format!("{} = ${}::text::{}", quoted(&column.name), at + 1, column.sql_type))
        .collect();
    let (schema, name) = (quoted(&change.relation.schema), quoted(&change.relation.table));
    let query = format!("select exists (select from {schema}.{name} where {})", conditions.join(" and "));
    let parameters: Vec<&(dyn ToSql + Sync)> = keys.iter().map(|(_, value)| value as &(dyn ToSql + Sync)).collect();

    let transaction = client.transaction().await?;
    as_caller(&transaction, caller).await?;
    let seen = transaction.query_one(&query, &parameters).await;
    transaction.rollback().await?;
    Ok(seen?.get(0))
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
