//! What a client listens to: one entry of `config.postgres_changes`, read and numbered. No I/O.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::pgoutput::Action;

/// One `column=operator.value` of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The column that is compared.
    pub column: String,
    /// For example `eq`.
    pub operator: String,
    /// What it is compared with, in PostgreSQL's text form.
    pub value: String,
    /// Whether `not.` stood before the operator.
    pub negated: bool,
}

const OPERATORS: [&str; 13] =
    ["eq", "neq", "lt", "lte", "gt", "gte", "in", "like", "ilike", "is", "match", "imatch", "isdistinct"];

/// One entry of `config.postgres_changes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Number by which the client knows its callback again; equal entries have equal numbers.
    pub id: u32,
    /// `None` for every action.
    pub action: Option<Action>,
    /// Schema, or `*`.
    pub schema: String,
    /// Table, or `*`.
    pub table: String,
    /// All must pass.
    pub filters: Vec<Filter>,
    /// Columns to send beside the primary key; `None` for all.
    pub select: Option<Vec<String>>,
}

/// The number of an entry, from its content: 27 bits, never 0, which clients take for "none".
pub fn id(entry: &Value) -> u32 {
    let mut hasher = DefaultHasher::new();
    entry.to_string().hash(&mut hasher);
    u32::try_from(hasher.finish() & 0x07ff_ffff).map_or(1, |id| id.max(1))
}

impl Binding {
    /// Reads an entry.
    ///
    /// # Errors
    /// The sentence that a client is told.
    pub fn parse(entry: &Value) -> Result<Self, String> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let action = match text("event").map(str::to_ascii_uppercase).as_deref() {
            Some("INSERT") => Some(Action::Insert),
            Some("UPDATE") => Some(Action::Update),
            Some("DELETE") => Some(Action::Delete),
            _ => None,
        };
        let filter = text("filter");
        let (schema, table) = match (text("schema"), text("table"), filter) {
            (Some(schema), Some(table), _) => (schema, table),
            (Some(schema), None, None) => (schema, "*"),
            (None, Some(table), None) => ("public", table),
            _ => {
                return Err(format!(
                    "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: {entry}"
                ));
            }
        };
        let select = match entry.get("select") {
            Some(Value::Array(names)) if !names.is_empty() => {
                Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Some(Value::String(_)) => {
                return Err("Error parsing `select` params: expected a list of column name strings, \
                            e.g. select: [\"col1\", \"col2\"]"
                    .to_owned());
            }
            _ => None,
        };
        if select.is_some() && (schema == "*" || table == "*") {
            return Err("Column selection is not supported for wildcard subscriptions. \
                        Provide an explicit schema and table name."
                .to_owned());
        }
        let filters =
            filters(filter.unwrap_or_default()).map_err(|reason| format!("Error parsing `filter` params: {reason}"))?;
        Ok(Self { id: id(entry), action, schema: schema.to_owned(), table: table.to_owned(), filters, select })
    }

    /// Whether a change of this kind is of interest.
    pub fn wants(&self, action: Action) -> bool {
        self.action.is_none_or(|wanted| wanted == action)
    }
}

fn filters(text: &str) -> Result<Vec<Filter>, String> {
    match text.trim() {
        "" => Ok(Vec::new()),
        text => split(text).into_iter().map(|part| filter(part.trim())).collect(),
    }
}

/// Cuts at commas that stand outside parentheses and quoted values.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted, mut escaped, mut previous) =
        (Vec::new(), 0, 0_u32, false, false, ',');
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if quoted => quoted = false,
            _ if quoted => {}
            '"' if matches!(previous, '.' | '(' | ',') => quoted = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        previous = char;
    }
    parts.push(&text[start..]);
    parts
}

fn filter(text: &str) -> Result<Filter, String> {
    if text.is_empty() {
        return Err("filter must not contain empty segments (check for extra commas)".to_owned());
    }
    let (column, rest) = text.split_once('=').ok_or_else(|| format!("[{text:?}]"))?;
    let (negated, rest) = rest.strip_prefix("not.").map_or((false, rest), |rest| (true, rest));
    let (operator, value) = rest.split_once('.').ok_or_else(|| format!("[{rest:?}]"))?;
    if !OPERATORS.contains(&operator) {
        return Err(format!("[{operator:?}, {value:?}]"));
    }
    let value = if operator == "in" {
        let inner = value.strip_prefix('(').and_then(|value| value.strip_suffix(')'));
        format!("{{{}}}", inner.ok_or("`in` filter value must be wrapped by parentheses")?)
    } else {
        unquoted(value).unwrap_or_else(|| value.to_owned())
    };
    Ok(Filter { column: column.to_owned(), operator: operator.to_owned(), value, negated })
}

/// The inside of a value in double quotes; `None` when it is not in quotes from end to end.
fn unquoted(value: &str) -> Option<String> {
    let mut chars = value.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut inside = String::new();
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => inside.push(chars.next()?),
            char => inside.push(char),
        }
    }
    Some(inside)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> Vec<(String, String, String, bool)> {
        let filters = filters(text).unwrap().into_iter();
        filters.map(|filter| (filter.column, filter.operator, filter.value, filter.negated)).collect()
    }

    fn of(column: &str, operator: &str, value: &str, negated: bool) -> (String, String, String, bool) {
        (column.to_owned(), operator.to_owned(), value.to_owned(), negated)
    }

    #[test]
    fn a_filter_is_a_column_an_operator_and_a_value() {
        assert_eq!(parsed("id=eq.1"), [of("id", "eq", "1", false)]);
        assert_eq!(parsed("title=eq.a.b=c"), [of("title", "eq", "a.b=c", false)]);
        assert_eq!(parsed("id=in.(1,2)"), [of("id", "in", "{1,2}", false)]);
        assert_eq!(parsed(" "), []);
    }

    #[test]
    fn several_filters_are_cut_at_the_commas_between_them_only() {
        let expected = [of("id", "in", "{1,2}", true), of("name", "eq", "a,b\"", false), of("n", "gt", "3", false)];
        assert_eq!(parsed(r#"id=not.in.(1,2), name=eq."a,b\"", n=gt.3"#), expected);
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_told() {
        let told = |text: &str| filters(text).unwrap_err();
        assert_eq!(told("undefined"), r#"["undefined"]"#);
        assert_eq!(told("id=foo.1"), r#"["foo", "1"]"#);
        assert_eq!(told("id=in.1,2"), "`in` filter value must be wrapped by parentheses");
        assert_eq!(told("id=eq.1,"), "filter must not contain empty segments (check for extra commas)");
    }

    #[test]
    fn a_binding_may_leave_out_its_schema_or_its_table() {
        let binding = Binding::parse(&json!({ "event": "*", "schema": "public" })).unwrap();
        assert_eq!((binding.schema.as_str(), binding.table.as_str()), ("public", "*"));
        assert!(binding.wants(Action::Insert) && binding.wants(Action::Delete));
        let binding = Binding::parse(&json!({ "event": "update", "table": "jobs" })).unwrap();
        assert_eq!((binding.schema.as_str(), binding.table.as_str()), ("public", "jobs"));
        assert!(binding.wants(Action::Update) && !binding.wants(Action::Insert));
        let error = Binding::parse(&json!({ "event": "*" })).unwrap_err();
        assert!(error.starts_with("No subscription params provided."), "{error}");
    }

    #[test]
    fn columns_can_be_selected_only_of_one_table() {
        let entry = json!({ "event": "*", "schema": "public", "select": ["id"] });
        assert!(Binding::parse(&entry).unwrap_err().starts_with("Column selection is not supported"));
        let entry = json!({ "event": "*", "schema": "public", "table": "jobs", "select": ["id"] });
        assert_eq!(Binding::parse(&entry).unwrap().select, Some(vec!["id".to_owned()]));
    }

    #[test]
    fn equal_bindings_have_equal_numbers_and_none_is_zero() {
        let entry = json!({ "event": "*", "schema": "public", "table": "jobs" });
        assert_eq!(id(&entry), id(&entry.clone()));
        assert_ne!(id(&entry), id(&json!({ "event": "INSERT", "schema": "public", "table": "jobs" })));
        assert_ne!(id(&Value::Null), 0);
    }
}
