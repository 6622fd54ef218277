//! What the migrations promise: objects, policies and grants, read from their text so that no second list of them can go stale.
//!
//! Weakness: it reads the statements as this repository writes them, at the beginning of a line. A statement that is not understood is
//! promised nothing of; the tests hold that there is none.

use std::sync::LazyLock;

use tokio_postgres::{Client, Error};

use crate::migrations::MIGRATIONS;

/// Something that a migration makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// `table`, `view`, `function`, `trigger`, `index`, `domain` or `policy`.
    pub(super) kind: &'static str,
    /// Name: with its schema, or bare for a trigger and a policy.
    pub(super) name: String,
    /// Table of a trigger, an index or a policy, with its schema.
    pub(super) table: Option<String>,
    /// The statement that makes it; only its first line for a function.
    pub(super) statement: String,
    /// File that holds it.
    pub(super) migration: String,
}

/// Privileges that a migration gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// `schema`, `function` or `table` (a view counts as one).
    pub(super) kind: &'static str,
    /// Name with its schema; a function with its arguments.
    pub(super) object: String,
    /// Each privilege, with its columns or none for all of them.
    pub(super) privileges: Vec<(String, Vec<String>)>,
    /// Who gets them.
    pub(super) roles: Vec<String>,
    /// The statement that gives them.
    pub(super) statement: String,
}

/// What all migrations together promise.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    pub(super) objects: Vec<Object>,
    pub(super) grants: Vec<Grant>,
    /// Tables with row level security, each with the statement that switches it on.
    pub(super) secured: Vec<(String, String)>,
}

/// What stands behind the migrations where the frontend from before carousel goes on.
const FRONTEND: [(&str, &str); 2] = [
    ("adopt/old_words.sql", include_str!("../../supabase/adopt/old_words.sql")),
    ("adopt/frontend.sql", include_str!("../../supabase/adopt/frontend.sql")),
];

/// What this program's migrations promise.
static OF_MIGRATIONS: LazyLock<Promises> = LazyLock::new(|| {
    let mut promises = Promises::default();
    for (version, name, text) in MIGRATIONS {
        promises.read(&format!("{version}_{name}.sql"), text);
    }
    promises
});

/// The same where the frontend from before carousel goes on.
static WITH_FRONTEND: LazyLock<Promises> = LazyLock::new(|| {
    let mut promises = OF_MIGRATIONS.clone();
    for (name, text) in FRONTEND {
        promises.read(name, text);
    }
    promises
});

/// What is promised in this database.
pub(super) async fn of(client: &Client) -> Result<&'static Promises, Error> {
    let goes_on = "
        select exists (
            select from pg_trigger
            join pg_class on pg_class.oid = tgrelid
            join pg_namespace on pg_namespace.oid = relnamespace
            where tgname = 'before_carousel' and nspname = 'public' and relname = 'image_generation_jobs'
        )";
    let goes_on: bool = client.query_one(goes_on, &[]).await?.get(0);
    Ok(if goes_on { &WITH_FRONTEND } else { &OF_MIGRATIONS })
}

impl Promises {
    fn read(&mut self, migration: &str, text: &str) {
        for statement in statements(text) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            match words.as_slice() {
                ["grant", ..] => self.grants.extend(grants(&statement)),
                ["alter", "table", table, "enable", "row", "level", "security;"] => {
                    self.secured.push(((*table).to_owned(), statement.clone()));
                }
                ["create", rest @ ..] => self.objects.extend(object(rest, &statement, migration)),
                ["drop", kind, rest @ ..] => {
                    let name = rest.iter().find(|word| !["if", "exists"].contains(*word)).unwrap_or(&"");
                    let name =
                        name.trim_end_matches([';', ')']).split('(').next().unwrap_or_default().trim_matches('"');
                    // An index is made without its schema, and dropped with it.
                    let name = if *kind == "index" { name.rsplit('.').next().unwrap_or(name) } else { name };
                    self.objects.retain(|object| object.kind != *kind || object.name != name);
                }
                _ => {}
            }
        }
    }
}

/// The statements that begin a line with one of these words, up to their semicolon. That of a function ends within its body.
fn statements(text: &str) -> Vec<String> {
    let begins = ["create ", "grant ", "alter table ", "drop "];
    let mut found = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if begins.iter().any(|word| line.starts_with(word)) {
            let rest = &text[offset..];
            let end = rest.find(';').map_or(rest.len(), |end| end + 1);
            found.push(rest[..end].to_owned());
        }
        offset += line.len();
    }
    found
}

fn object(words: &[&str], statement: &str, migration: &str) -> Option<Object> {
    let words: Vec<&str> =
        words.iter().copied().skip_while(|word| ["or", "replace", "unique"].contains(word)).collect();
    let kind = ["table", "view", "function", "trigger", "index", "domain", "policy"]
        .into_iter()
        .find(|kind| words.first() == Some(kind))?;
    let name = match kind {
        // A policy's name is a sentence in quotes.
        "policy" => statement.split('"').nth(1)?.to_owned(),
        _ => words.get(1)?.split('(').next()?.to_owned(),
    };
    let table = match kind {
        "trigger" | "index" | "policy" => {
            let after = statement.split_once(&name)?.1;
            let mut rest = after.split_whitespace().skip_while(|word| *word != "on");
            // `on` may also stand in an event: `update of x on public.y`; a table has its schema.
            rest.find(|word| word.contains('.')).map(|table| table.trim_end_matches(';').to_owned())
        }
        _ => None,
    };
    let statement = match kind {
        "function" => statement.lines().next().unwrap_or_default().to_owned(),
        _ => statement.to_owned(),
    };
    Some(Object { kind, name, table, statement, migration: migration.to_owned() })
}

/// One grant for each object that the statement names; nothing when it is not understood.
fn grants(statement: &str) -> Vec<Grant> {
    let flat = statement.trim_end_matches(';').split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((what, (on, roles))) = flat
        .strip_prefix("grant ")
        .and_then(|rest| rest.split_once(" on "))
        .and_then(|(what, rest)| Some((what, rest.rsplit_once(" to ")?)))
    else {
        return Vec::new();
    };
    let (kind, objects) = match on.split_once(' ') {
        Some(("schema", name)) => ("schema", vec![name]),
        Some(("function", name)) => ("function", vec![name]),
        _ => ("table", list(on)),
    };
    let privileges: Vec<(String, Vec<String>)> = list(what)
        .into_iter()
        .map(|privilege| match privilege.split_once('(') {
            Some((name, columns)) => {
                let columns = list(columns.trim_end_matches(')')).into_iter().map(str::to_owned);
                (name.trim().to_owned(), columns.collect())
            }
            None => (privilege.to_owned(), Vec::new()),
        })
        .collect();
    let roles: Vec<String> = list(roles).into_iter().map(str::to_owned).collect();
    let grant = |object: &str| Grant {
        kind,
        object: object.to_owned(),
        privileges: privileges.clone(),
        roles: roles.clone(),
        statement: statement.to_owned(),
    };
    objects.into_iter().map(grant).collect()
}

/// Parts between the commas that stand in no parentheses.
fn list(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|letter: char| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });
    parts.map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_and_every_object_of_the_migrations_is_understood() {
        let migrations = MIGRATIONS.iter().map(|(_, name, text)| (*name, *text));
        for (name, text) in migrations.chain(FRONTEND) {
            for statement in statements(text) {
                let words: Vec<&str> = statement.split_whitespace().collect();
                match words[0] {
                    "grant" => assert!(!grants(&statement).is_empty(), "{name}: {statement}"),
                    "create" if words[1] != "schema" => {
                        let object = object(&words[1..], &statement, name).unwrap_or_else(|| panic!("{statement}"));
                        let placed = object.table.unwrap_or(object.name);
                        assert!(placed.contains('.'), "{name}: no schema in {statement}");
                    }
                    _ => {}
                }
            }
        }
        let promises = &*OF_MIGRATIONS;
        assert!(promises.objects.len() > 50 && promises.grants.len() > 20 && promises.secured.len() >= 3);
        assert!(WITH_FRONTEND.objects.len() > promises.objects.len() + 10);
    }

    #[test]
    fn a_grant_is_taken_apart() {
        let found = grants("grant select, insert (a, b),\n  delete on public.x, public.y\n  to anon, carousel_worker;");
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].kind, found[1].object.as_str()), ("table", "public.y"));
        let columns = vec!["a".to_owned(), "b".to_owned()];
        let expected = [("select", vec![]), ("insert", columns), ("delete", vec![])];
        assert_eq!(found[1].privileges, expected.map(|(name, columns)| (name.to_owned(), columns)));
        assert_eq!(found[1].roles, ["anon", "carousel_worker"]);
        let function = grants("grant execute on function s.f(uuid, integer) to r;").remove(0);
        assert_eq!((function.kind, function.object.as_str()), ("function", "s.f(uuid, integer)"));
    }

    #[test]
    fn what_a_later_migration_drops_is_promised_no_more() {
        let mut promises = Promises::default();
        promises.read(
            "1_a.sql",
            "create function s.f(x integer) returns void\nas $$\n  a;\n$$;\ncreate table s.t (\n  a integer\n);\n\
             create index i on s.t (a);\n",
        );
        assert_eq!(promises.objects.len(), 3);
        promises.read("2_b.sql", "drop function if exists s.f(integer);\ndrop index s.i;\n");
        assert_eq!(promises.objects.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(), ["s.t"]);
    }
}
