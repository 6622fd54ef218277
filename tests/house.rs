//! The house: which module may import which. A hand that reaches for another, or for the roof, is found here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A module and what it may import of ours. `*` stands for everything.
const TABLE: [(&str, &[&str]); 23] = [
    ("job", &[]),
    ("words", &[]),
    ("outgoing", &["words"]),
    ("supabase", &["outgoing", "words"]),
    ("database", &[]),
    ("listener", &["job", "database"]),
    ("queue", &["job", "database", "outgoing"]),
    ("provider", &["job", "outgoing", "words"]),
    ("image", &["job"]),
    ("failure", &["job", "listener", "queue", "supabase", "provider", "image"]),
    ("pipeline", &["job", "queue", "supabase", "provider", "image", "failure", "telemetry"]),
    (
        "worker",
        &["job", "listener", "queue", "supabase", "provider", "image", "failure", "pipeline", "telemetry", "project"],
    ),
    ("client", &["job", "supabase"]),
    ("project", &["queue", "supabase"]),
    ("http", &["job", "failure", "supabase", "client", "telemetry", "words"]),
    ("config", &["queue", "supabase", "provider", "http"]),
    (
        "checks",
        &[
            "job",
            "outgoing",
            "supabase",
            "database",
            "listener",
            "queue",
            "provider",
            "project",
            "http",
            "config",
            "migrations",
        ],
    ),
    ("telemetry", &[]),
    ("migrations", &[]),
    ("fuzzing", &["provider", "image", "supabase"]),
    ("cli", &["*"]),
    ("pages", &[]),
    ("main", &["*"]),
];

#[test]
fn every_module_imports_only_from_the_floors_below_it() {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let relative = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("it lies below src");
        let module = relative
            .iter()
            .next()
            .and_then(|first| first.to_str())
            .unwrap_or_default()
            .trim_end_matches(".rs")
            .to_owned();
        if module == "lib" {
            return;
        }
        let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{} is in no row of the table", relative.display()));
            return;
        };
        // A link in a comment is no import.
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for import in imports(&code) {
            if import != module && !allowed.contains(&"*") && !allowed.contains(&import.as_str()) {
                faults.push(format!("{} uses crate::{import}", relative.display()));
            }
        }
        seen.insert(module);
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let missing: Vec<_> = TABLE.iter().map(|(name, _)| *name).filter(|name| !seen.contains(*name)).collect();
    assert!(missing.is_empty(), "rows of the table without a module: {missing:?}");
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::job::Job;\nuse crate::{\n    queue::Lease, storage,\n};\nfn f() -> crate::image::Error { crate::provider::x() }";
    assert_eq!(imports(text), ["image", "job", "provider", "queue", "storage"].map(str::to_owned).into());
}

/// How a client for HTTP can be made without [`outgoing`], which follows no redirect and asks no proxy for this machine.
const CLIENTS: [&str; 7] = [
    "Client::builder(",
    "Client::new(",
    "Client::default(",
    "ClientBuilder::new(",
    "reqwest::get(",
    "connect_async(",
    "hyper::client",
];

/// The words that the crate `postgrest` sends a request with, by a client of its own: reqwest 0.11, with a TLS and an HTTP/2 that are not mended any more.
const SENDING: [&str; 3] = [".execute()", ".build().send(", "reqwest_0_11"];

#[test]
fn clients_are_made_in_one_place_and_the_one_of_postgrest_sends_nothing() {
    let (mut faults, mut made, mut worded) = (Vec::new(), 0, 0);
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let name = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("it lies below src");
        for words in CLIENTS.into_iter().filter(|words| code.contains(words)) {
            match name.to_str() {
                Some("outgoing.rs") => made += 1,
                _ => faults.push(format!("{} has {words}", name.display())),
            }
        }
        // Its builder is handed to `client`, and worded in one place.
        if code.contains("postgrest::") {
            assert!(name.starts_with("supabase"), "{} uses postgrest", name.display());
            worded += code.matches(".build().build()").count();
            let sent: Vec<_> = SENDING.iter().filter(|words| code.contains(**words)).collect();
            assert!(sent.is_empty(), "{} has {sent:?}", name.display());
        }
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!((made, worded), (1, 1), "the scan sees the one client, and the one request that is worded");
}

/// First names after `crate::`, in paths and in braces.
fn imports(text: &str) -> BTreeSet<String> {
    let name = |text: &str| {
        text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect::<String>()
    };
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (index, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    found.insert(name(&group[start..index]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.insert(name(&group[start..index]));
                    start = index + 1;
                }
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &fs::read_to_string(&path).expect("it can be read"));
        }
    }
}
