//! The house: which module may import which. A hand that reaches for another, or for the roof, is found here.

mod licences;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A module and what it may import of ours. `*` stands for everything.
const TABLE: [(&str, &[&str]); 24] = [
    ("job", &[]),
    ("words", &[]),
    ("outgoing", &["words"]),
    ("address", &[]),
    ("supabase", &["outgoing", "words"]),
    ("database", &[]),
    ("listener", &["job", "database"]),
    ("queue", &["job", "database", "outgoing"]),
    ("provider", &["address", "job", "outgoing", "words"]),
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

/// A crate of others that is an art of few, and the modules that use it. What is in no row may be used anywhere.
const CRATES: [(&str, &[&str]); 24] = [
    ("axum", &["http", "pages", "cli"]),
    ("utoipa", &["http", "client"]),
    ("utoipa_axum", &["http"]),
    ("tower_http", &["http"]),
    ("multer", &["http"]),
    ("hyper", &["http", "outgoing"]),
    ("hyper_util", &["http", "outgoing"]),
    ("reqwest", &["address", "outgoing", "supabase", "provider", "checks", "cli"]),
    ("webpki_roots", &["outgoing"]),
    ("clap", &["cli", "config", "telemetry", "client", "main"]),
    ("clap_complete", &["cli"]),
    ("console", &["cli"]),
    ("indicatif", &["cli"]),
    ("unicode_segmentation", &["cli"]),
    ("postgrest", &["supabase"]),
    ("supabase_storage_rs", &["supabase"]),
    ("tokio_tungstenite", &["supabase"]),
    ("tokio_postgres", &["database", "listener", "queue", "migrations", "config", "checks"]),
    ("tokio_postgres_rustls", &["listener", "queue", "checks"]),
    ("deadpool_postgres", &["queue"]),
    ("refinery", &["migrations"]),
    ("thumbhash", &["image"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    // The stand-ins: what the program does for a deployment knows nothing of them.
    ("carousel_local", &["cli", "pages"]),
];

#[test]
fn every_crate_is_used_by_its_modules_alone() {
    let mut used = BTreeSet::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let (module, _) = room(path);
        used.extend(CRATES.iter().filter(|(name, _)| names(&code, name)).map(|(name, _)| (*name, module.clone())));
    });
    let table: BTreeSet<_> =
        CRATES.iter().flat_map(|(name, modules)| modules.iter().map(|module| (*name, (*module).to_owned()))).collect();
    let strange: Vec<_> = used.difference(&table).collect();
    assert!(strange.is_empty(), "crates in modules that the table does not give them to: {strange:?}");
    let idle: Vec<_> = table.difference(&used).collect();
    assert!(idle.is_empty(), "the table gives crates to modules that don't use them: {idle:?}");
}

#[test]
fn a_crate_is_found_by_its_whole_name() {
    for text in ["use axum::Router;", "(axum::body::Body)", "use axum;", "use {serde, axum};", "::axum::Router"] {
        assert!(names(text, "axum"), "{text}");
    }
    for text in ["use utoipa_axum::router;", "use crate::axum::Router;", "let axum = 1;", "axum_extra::x()"] {
        assert!(!names(text, "axum"), "{text}");
    }
}

#[test]
fn the_stand_ins_know_nothing_of_the_program() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/local/Cargo.toml"));
    let manifest = manifest.expect("it can be read");
    let (_, dependencies) = manifest.split_once("[dependencies]").expect("it has some");
    assert!(dependencies.contains("axum") && !dependencies.contains("carousel"), "{dependencies}");
    let mut seen = 0;
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/local/src")), &mut |path, text| {
        seen += 1;
        // A test or a stand-in that takes in a file of the program shares it as well.
        let taken = text.lines().filter(|line| line.contains("include_") || line.contains("#[path"));
        for line in taken {
            assert!(!line.contains("../../"), "{}: {line}", path.display());
        }
    });
    assert!(seen > 50, "{seen} files");
}

#[test]
fn every_module_imports_only_from_the_floors_below_it() {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    visit(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let (module, relative) = room(path);
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

/// The module that a file of `src` belongs to, and the file below `src`.
fn room(path: &Path) -> (String, &Path) {
    let relative = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("it lies below src");
    let module = relative.iter().next().and_then(|first| first.to_str()).unwrap_or_default();
    (module.trim_end_matches(".rs").to_owned(), relative)
}

/// Whether code names a crate: at the beginning of a path, or alone in a `use`.
fn names(code: &str, name: &str) -> bool {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let begins = match before.strip_suffix("::") {
            Some(path) => !path.ends_with(is_word),
            None => !before.ends_with(is_word),
        };
        let line = before.rsplit(['\n', ';']).next().unwrap_or_default();
        begins
            && (after.starts_with("::")
                || (line.trim_start().starts_with("use ") && after.starts_with([';', ',', '}'])))
    })
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
