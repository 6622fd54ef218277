//! A changed row as one role may see it: PostgreSQL tells the columns and their privileges, and turns the values into JSON.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use time::macros::format_description;
use tokio_postgres::Client;

use super::pgoutput::{Action, Change, Field};

/// A change whose document in the log is longer than this loses its large values and its nulls.
const MAX_BYTES: usize = 1024 * 1024;
/// What counts as large then, in bytes of JSON.
const LARGE_VALUE: usize = 64;

/// A column as the catalog has it.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as clients know it, for example `int4` or `_text`.
    pub type_name: String,
    /// Its type's object id.
    pub type_oid: u32,
    /// Its type as SQL spells it.
    pub sql_type: String,
    /// Whether it is part of the primary key.
    pub is_key: bool,
    /// Whether the role may select it.
    pub is_selectable: bool,
}

/// A table as one role sees it.
#[derive(Debug)]
pub struct Table {
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Whether row level security is on.
    pub has_policies: bool,
}

impl Table {
    /// Reads a table from the catalog.
    pub async fn read(client: &Client, oid: u32, role: &str) -> Result<Self, tokio_postgres::Error> {
        const COLUMNS: &str = "
            select a.attname::text, t.typname::text, a.atttypid, a.atttypid::regtype::text,
                   coalesce(a.attnum = any (p.conkey), false),
                   has_column_privilege($2::text::name, a.attrelid, a.attnum, 'SELECT'),
                   c.relrowsecurity
            from pg_attribute a
            join pg_class c on c.oid = a.attrelid
            join pg_type t on t.oid = a.atttypid
            left join pg_constraint p on p.conrelid = a.attrelid and p.contype = 'p'
            where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
            order by a.attnum";
        let rows = client.query(COLUMNS, &[&oid, &role]).await?;
        let has_policies = rows.first().is_some_and(|row| row.get(6));
        let columns = rows.iter().map(|row| Column {
            name: row.get(0),
            type_name: row.get(1),
            type_oid: row.get(2),
            sql_type: row.get(3),
            is_key: row.get(4),
            is_selectable: row.get(5),
        });
        Ok(Self { columns: columns.collect(), has_policies })
    }

    /// The columns of the primary key.
    pub fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_key)
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Values of a row in PostgreSQL's text form, as far as the log holds them; `None` is null.
pub type Values<'a> = HashMap<&'a str, Option<&'a str>>;

/// The values of one tuple of a change.
pub fn values<'a>(change: &'a Change, tuple: &'a [Field]) -> Values<'a> {
    let fields = change.relation.columns.iter().zip(tuple);
    let held = fields.filter_map(|(column, field)| match field {
        Field::Text(text) => Some((column.name.as_str(), Some(text.as_str()))),
        Field::Null => Some((column.name.as_str(), None)),
        Field::Absent => None,
    });
    held.collect()
}

/// The values of the old row, for an update at least its key.
pub fn old_values<'a>(change: &'a Change, table: &Table) -> Values<'a> {
    if change.action == Action::Update && change.old.is_empty() {
        let mut values = values(change, &change.new);
        values.retain(|name, _| table.column(name).is_some_and(|column| column.is_key));
        return values;
    }
    values(change, &change.old)
}

/// What is sent of a change: the `data` of a message, for subscribers of one role and one selection of columns.
pub async fn data(
    client: &Client,
    table: &Table,
    change: &Change,
    select: Option<&[String]>,
) -> Result<Value, tokio_postgres::Error> {
    let is_sent = |column: &Column| {
        let is_selected = select.is_none_or(|names| column.is_key || names.contains(&column.name));
        column.is_selectable && is_selected
    };
    let sent: Vec<&Column> = table.columns.iter().filter(|column| is_sent(column)).collect();
    let (new, mut old) = (values(change, &change.new), old_values(change, table));
    let too_large = document_bytes(table, &new) + document_bytes(table, &old) > MAX_BYTES;

    let mut columns = Vec::new();
    for column in &sent {
        columns.push(json!({ "name": column.name, "type": column.type_name }));
    }
    let mut data = head(change);
    data.insert("columns".to_owned(), columns.into());
    data.insert("commit_timestamp".to_owned(), timestamp(change).into());
    data.insert("errors".to_owned(), if too_large { json!(["Error 413: Payload Too Large"]) } else { Value::Null });
    if change.action != Action::Delete {
        // What the log lacks of the new row is the same as in the old one, where that is known.
        let mut record = old.clone();
        record.extend(new);
        data.insert("record".to_owned(), record_of(client, &sent, &record, too_large).await?);
    }
    if change.action == Action::Delete && table.has_policies {
        // Policies can't be asked about a row that is gone.
        old.retain(|name, _| table.column(name).is_some_and(|column| column.is_key));
    }
    if change.action != Action::Insert {
        data.insert("old_record".to_owned(), record_of(client, &sent, &old, too_large).await?);
    }
    Ok(Value::Object(data))
}

/// What is sent in place of a change that can't be shown.
pub fn refusal(change: &Change, error: &str) -> Value {
    let mut data = head(change);
    data.extend([
        ("columns".to_owned(), json!([])),
        ("commit_timestamp".to_owned(), Value::Null),
        ("errors".to_owned(), json!([error])),
    ]);
    if change.action != Action::Delete {
        data.insert("record".to_owned(), json!({}));
    }
    if change.action != Action::Insert {
        data.insert("old_record".to_owned(), json!({}));
    }
    Value::Object(data)
}

/// About the length of these values in the document that wal2json makes of a change: escapes count.
fn document_bytes(table: &Table, values: &Values<'_>) -> usize {
    let of = |(name, value): (&&str, &Option<&str>)| {
        let type_name = table.column(name).map_or(0, |column| column.sql_type.len());
        let value = value.map_or(4, |value| json!(value).to_string().len());
        r#"{"name":"","type":"","value":},"#.len() + name.len() + type_name + value
    };
    values.iter().map(of).sum()
}

fn head(change: &Change) -> Map<String, Value> {
    Map::from_iter([
        ("schema".to_owned(), change.relation.schema.as_str().into()),
        ("table".to_owned(), change.relation.table.as_str().into()),
        ("type".to_owned(), change.action.as_str().into()),
    ])
}

fn timestamp(change: &Change) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    change.committed_at.format(format).unwrap_or_default()
}

async fn record_of(
    client: &Client,
    sent: &[&Column],
    values: &Values<'_>,
    too_large: bool,
) -> Result<Value, tokio_postgres::Error> {
    let held: Vec<_> = sent.iter().filter_map(|column| Some((*column, *values.get(column.name.as_str())?))).collect();
    let texts: Vec<Option<&str>> = held.iter().map(|(_, value)| *value).collect();
    let types: Vec<u32> = held.iter().map(|(column, _)| column.type_oid).collect();
    let cast = "select realtime.cast(value, type) from unnest($1::text[], $2::oid[]) with ordinality as v (value, type, n) order by n";
    let rows = client.query(cast, &[&texts, &types]).await?;
    let mut record = Map::new();
    for ((column, _), row) in held.iter().zip(&rows) {
        let value = row.get::<_, Option<Value>>(0).unwrap_or_default();
        // The real server compares lengths, and a null has none: it is left out as well.
        if !too_large || (!value.is_null() && value.to_string().len() <= LARGE_VALUE) {
            record.insert(column.name.clone(), value);
        }
    }
    Ok(Value::Object(record))
}
