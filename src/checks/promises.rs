//! What the schema promises: objects, policies and grants, read from `supabase/schemas`, where each stands once, as it is now.
//!
//! Weakness: it reads the statements as this repository writes them, at the beginning of a line. A statement that is not understood is
//! promised nothing of; the tests hold that there is none.

use std::sync::LazyLock;

use tokio_postgres::{Client, Error};

/// Something that the schema has.
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
    /// File below `supabase/` that holds it.
    pub(super) file: &'static str,
}

/// Privileges that the schema gives.
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

/// What the schema promises.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    pub(super) objects: Vec<Object>,
    pub(super) grants: Vec<Grant>,
    /// Tables with row level security, each with the statement that switches it on.
    pub(super) secured: Vec<(String, String)>,
}

/// The schema.
const SCHEMAS: [(&str, &str); 11] = [
    ("schemas/00_foundation.sql", include_str!("../../supabase/schemas/00_foundation.sql")),
    ("schemas/01_templates.sql", include_str!("../../supabase/schemas/01_templates.sql")),
    ("schemas/02_jobs.sql", include_str!("../../supabase/schemas/02_jobs.sql")),
    ("schemas/03_images.sql", include_str!("../../supabase/schemas/03_images.sql")),
    ("schemas/04_queue.sql", include_str!("../../supabase/schemas/04_queue.sql")),
    ("schemas/05_leases.sql", include_str!("../../supabase/schemas/05_leases.sql")),
    ("schemas/06_ledger.sql", include_str!("../../supabase/schemas/06_ledger.sql")),
    ("schemas/07_cleanup.sql", include_str!("../../supabase/schemas/07_cleanup.sql")),
    ("schemas/08_storage.sql", include_str!("../../supabase/schemas/08_storage.sql")),
    ("schemas/09_realtime.sql", include_str!("../../supabase/schemas/09_realtime.sql")),
    ("schemas/10_dashboard.sql", include_str!("../../supabase/schemas/10_dashboard.sql")),
];

/// What stands behind it where the frontend from before carousel goes on.
const FRONTEND: [(&str, &str); 2] = [
    ("adopt/old_words.sql", include_str!("../../supabase/adopt/old_words.sql")),
    ("adopt/frontend.sql", include_str!("../../supabase/adopt/frontend.sql")),
];

/// What is promised everywhere.
static OF_SCHEMAS: LazyLock<Promises> = LazyLock::new(|| {
    let mut promises = Promises::default();
    for (name, text) in SCHEMAS {
        promises.read(name, text);
    }
    promises
});

/// The same where the frontend from before carousel goes on.
static WITH_FRONTEND: LazyLock<Promises> = LazyLock::new(|| {
    let mut promises = OF_SCHEMAS.clone();
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
    Ok(if goes_on { &WITH_FRONTEND } else { &OF_SCHEMAS })
}

impl Promises {
    fn read(&mut self, file: &'static str, text: &str) {
        for statement in statements(text) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            match words.as_slice() {
                ["grant", ..] => self.grants.extend(grants(&statement)),
                ["alter", "table", table, "enable", "row", "level", "security;"] => {
                    self.secured.push(((*table).to_owned(), statement.clone()));
                }
                ["create", rest @ ..] => self.objects.extend(object(rest, &statement, file)),
                _ => {}
            }
        }
    }
}

/// The statements that begin a line with one of these words, up to their semicolon. That of a function ends within its body.
fn statements(text: &str) -> Vec<String> {
    let begins = ["create ", "grant ", "alter table "];
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

fn object(words: &[&str], statement: &str, file: &'static str) -> Option<Object> {
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
    Some(Object { kind, name, table, statement, file })
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
    fn every_file_of_the_schema_is_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/schemas");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: std::collections::BTreeSet<_> = files.map(|name| format!("schemas/{name}")).collect();
        assert_eq!(SCHEMAS.map(|(name, _)| name.to_owned()), *files.into_iter().collect::<Vec<_>>());
    }

    /// Read from the migrations, in their order, a function whose overload was dropped was forgotten, and a right that was taken away promised.
    #[test]
    fn what_migrations_drop_and_revoke_is_told_as_it_is_now() {
        let objects = |name: &str| OF_SCHEMAS.objects.iter().filter(|object| object.name == name).count();
        assert_eq!(objects("carousel_private.count_images"), 1, "the other one, of a single job, was dropped");
        assert_eq!(objects("carousel_private.broadcast_rows"), 0);
        let rights = |object: &str| OF_SCHEMAS.grants.iter().filter(|grant| grant.object.starts_with(object)).count();
        assert_eq!(rights("carousel_private.count_images(uuid[])"), 1);
        let mut promises = Promises::default();
        promises.read("a", "revoke all on s.t from anon;\ngrant select on s.t to authenticated;\n");
        assert_eq!(promises.grants.len(), 1);
        assert_eq!(promises.grants[0].roles, ["authenticated"]);
    }

    #[test]
    fn every_grant_and_every_object_of_the_schema_is_understood() {
        for (name, text) in SCHEMAS.into_iter().chain(FRONTEND) {
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
        let promises = &*OF_SCHEMAS;
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
}
