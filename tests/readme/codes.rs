//! Every code that a client can be told: what the database refuses, and what the worker writes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use carousel::failure::{Failure, Reach, Tried, Verdict, judge};
use carousel::image::Error as Picture;
use carousel::job::{Format, Size};
use carousel::migrations::MIGRATIONS;
use carousel::provider::{Error as Provider, Told, Wait};
use carousel::queue;
use carousel::supabase::BadFile;
use carousel::supabase::storage::Error as Storage;

use crate::{file, marked, name, table};

/// A failure of every kind that a job can meet.
fn failures() -> Vec<Failure> {
    let told = Box::<Told>::default;
    let said = String::new;
    let broken = || io::Error::other("broken");
    let size = Size { width: 1, height: 1 };
    let mut failures = vec![
        Provider::Moderation { details: None, told: told() },
        Provider::InvalidImage { told: told() },
        Provider::InvalidRequest { told: told() },
        Provider::BillingLimit { told: told() },
        Provider::QuotaSpent { told: told() },
        Provider::Unauthorized { told: told() },
        Provider::Forbidden { told: told() },
        Provider::NotFound { told: told() },
        Provider::ModelNotFound { told: told() },
        Provider::RateLimited { retry_after: None, slow_down: false, told: told() },
        Provider::Overloaded { retry_after: None, told: told() },
        Provider::Connect { told: told() },
        Provider::Truncated { told: told() },
        Provider::Empty { told: told() },
        Provider::NotUnderstood { told: told() },
        Provider::TooLarge { told: told() },
        Provider::UrlRefused { told: told() },
        Provider::SourceUnreadable(broken()),
    ];
    for may_be_billed in [false, true] {
        failures.extend([
            Provider::Server { status: 500, retry_after: None, may_be_billed, told: told() },
            Provider::Timeout { what: Wait::Total, may_be_billed, told: told() },
            Provider::Reset { may_be_billed, told: told() },
        ]);
    }
    let pictures = || {
        [
            Picture::NotAnImage { found: "text" },
            Picture::WrongFormat { found: Format::Png, wanted: Format::Webp },
            Picture::WrongSize { found: size, wanted: size },
            Picture::Damaged { reason: said() },
            Picture::TooManyPixels { size },
            Picture::Unreadable(broken()),
        ]
    };
    let storage = || {
        [
            Storage::NotFound { message: said() },
            Storage::NoBucket { message: said() },
            Storage::Denied { message: said() },
            Storage::Unauthorized { message: said() },
            Storage::BadFile(BadFile::TooLarge { message: said() }),
            Storage::BadFile(BadFile::UnsupportedType { message: said() }),
            Storage::BadFile(BadFile::InvalidPath { path: said() }),
            Storage::Unavailable { status: 503, message: said() },
            Storage::Timeout { message: said() },
            Storage::Connect { message: said() },
            Storage::Reset { message: said() },
            Storage::Io(broken()),
            Storage::NotUnderstood { message: said(), body: None },
        ]
    };
    let mut failures: Vec<Failure> = failures.into_iter().map(Failure::Provider).collect();
    failures.extend(pictures().map(Failure::Result));
    failures.extend(pictures().map(|error| Failure::Source { path: said(), error }));
    failures.extend(storage().map(|error| Failure::Fetch { path: said(), error }));
    failures.extend(storage().map(Failure::Upload));
    failures.extend(pipeline_codes().into_iter().map(|code| Failure::Unfit { code: code.leak(), message: said() }));
    failures.extend(refused_calls().into_iter().map(|code| Failure::Limit { code, words: said() }));
    failures.extend([Failure::Queue(queue::Error::Lost), Failure::Spent(None), Failure::Internal(said())]);
    failures
}

/// How often the worker tries again by itself.
fn again(failure: &Failure) -> &'static str {
    let tried = |failed| match failure {
        Failure::Upload(_) => Tried::Upload { failed },
        Failure::Fetch { .. } => Tried::Fetch { failed },
        _ => Tried::Image { failed, billed: failed - 1, most: 5 },
    };
    match (judge(failure, tried(1)), judge(failure, tried(2))) {
        (Verdict::Final, _) => "no",
        (Verdict::Again(_), Verdict::Final) => "once",
        (Verdict::Again(_), _) => "yes",
        (Verdict::Pause(_), _) => "after a pause",
    }
}

#[test]
fn every_code_of_a_failure_is_told_with_whether_it_is_tried_again() {
    let mut expected: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for failure in failures() {
        expected.entry(failure.code().to_owned()).or_default().insert(again(&failure));
    }
    let written: BTreeSet<String> =
        failure_codes().into_iter().chain(pipeline_codes()).chain(refused_calls()).collect();
    assert_eq!(expected.keys().cloned().collect::<BTreeSet<_>>(), written, "a failure of each kind is tried above");
    for code in statement_codes() {
        expected.entry(code).or_default().insert("no");
    }
    let expected: BTreeMap<String, String> = expected
        .into_iter()
        .map(|(code, tries)| {
            let tries = tries.into_iter().collect::<Vec<_>>();
            let words = match tries.as_slice() {
                ["once", "yes"] => "yes, once if perhaps billed",
                ["after a pause", "no"] => "no, after a pause for sources",
                [only] => only,
                other => panic!("{code} is tried {other:?}"),
            };
            (code, words.to_owned())
        })
        .collect();
    let rows = table(&file("src/worker/README.md"), "| Code | What happened | Who mends it | Again |");
    let told: BTreeMap<String, String> = rows.iter().map(|row| (name(&row[0]), row[3].clone())).collect();
    assert_eq!(told.len(), rows.len(), "a code has one row");
    let missing: Vec<_> = expected.iter().filter(|(code, tries)| told.get(*code) != Some(tries)).collect();
    let stale: Vec<_> = told.keys().filter(|code| !expected.contains_key(*code)).collect();
    assert!(missing.is_empty() && stale.is_empty(), "must stand in the table: {missing:?}; must not: {stale:?}");
    for row in &rows {
        let who = ["owner", "operator", "time"];
        assert!(who.iter().any(|who| row[2].starts_with(who)), "{} is mended by {}", row[0], row[2]);
    }
}

#[test]
fn every_code_of_what_is_wrong_as_a_whole_is_told() {
    let text = file("src/worker/README.md");
    let (_, list) = text.split_once("*as a whole*: ").expect("the list is there");
    let told: BTreeSet<String> = marked(list.split(". ").next().unwrap_or_default(), '`').into_iter().collect();
    let whole = failures().into_iter().filter(|failure| matches!(failure.reach(), Reach::Provider | Reach::Bucket));
    // Those after a pause are given back at once, and have a row of their own in the list.
    let expected: BTreeSet<String> =
        whole.filter(|failure| again(failure) != "after a pause").map(|failure| failure.code().to_owned()).collect();
    assert_eq!(told, expected);
}

#[test]
fn every_refusal_of_the_database_is_told_with_its_status() {
    let expected: BTreeSet<(String, String)> = MIGRATIONS.iter().flat_map(|(.., text)| refusals(text)).collect();
    let rows = table(&file("supabase/README.md"), "| Code | HTTP | What is wrong |");
    let told: BTreeSet<(String, String)> = rows.iter().map(|row| (name(&row[0]), row[1].clone())).collect();
    assert_eq!(told.len(), rows.len(), "a code has one row");
    let missing: Vec<_> = expected.difference(&told).collect();
    let stale: Vec<_> = told.difference(&expected).collect();
    assert!(missing.is_empty() && stale.is_empty(), "must stand in the table: {missing:?}; must not: {stale:?}");
}

#[test]
fn every_code_of_the_http_api_is_told_with_its_status() {
    let mut expected = BTreeSet::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http")).expect("it is there") {
        let text = std::fs::read_to_string(entry.expect("it can be listed").path()).expect("sources are text");
        for problem in text.split("::new(").skip(1) {
            let words: Vec<&str> = problem.split(',').map(str::trim).take(2).collect();
            let [status, code] = words[..] else { continue };
            let Some(status) = status.strip_prefix("StatusCode::") else { continue };
            expected.insert((code.trim_matches('"').to_owned(), number(status).to_string()));
        }
    }
    assert!(expected.len() > 15, "{expected:?}");
    let rows = table(&file("src/http/README.md"), "| Code of the API | HTTP | What is wrong |");
    let told: BTreeSet<(String, String)> = rows.iter().map(|row| (name(&row[0]), row[1].clone())).collect();
    assert_eq!(told.len(), rows.len(), "a code has one row");
    let missing: Vec<_> = expected.difference(&told).collect();
    let stale: Vec<_> = told.difference(&expected).collect();
    assert!(missing.is_empty() && stale.is_empty(), "must stand in the table: {missing:?}; must not: {stale:?}");
}

/// The number of a status that sources write in words.
fn number(name: &str) -> u16 {
    let words = |status: &axum::http::StatusCode| {
        status.canonical_reason().unwrap_or_default().to_uppercase().replace([' ', '-'], "_")
    };
    let all = (100..600).filter_map(|number| axum::http::StatusCode::from_u16(number).ok());
    all.into_iter().find(|status| words(status) == name).unwrap_or_else(|| panic!("no status {name}")).as_u16()
}

/// The codes that triggers refuse with, each with the HTTP status that PostgREST makes of its SQLSTATE.
fn refusals(migration: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for raised in migration.split("raise exception").skip(1) {
        let (_, state) = raised.split_once("errcode = '").expect("every refusal has a state");
        let status = match &state[..5] {
            // A migration's, told to whoever applies it.
            "42710" | "42P01" => continue,
            "23502" | "23514" => "400",
            "42501" => "403",
            state => state.strip_prefix("PT").unwrap_or_else(|| panic!("which status is {state}?")),
        };
        let (_, detail) = raised.split_once("detail = ").expect("every refusal has a code");
        let detail = detail.split("hint = ").next().and_then(|detail| detail.split(';').next()).unwrap_or_default();
        let codes = marked(detail, '\'');
        assert!(!codes.is_empty(), "no code in {detail}");
        found.extend(codes.into_iter().map(|code| (code, status.to_owned())));
    }
    found
}

/// Every word in quotes of `src/failure.rs` that looks like a code.
fn failure_codes() -> BTreeSet<String> {
    let text = file("src/failure.rs");
    let is_code =
        |word: &String| !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    let codes: BTreeSet<String> = text.lines().flat_map(|line| marked(line, '"')).filter(is_code).collect();
    assert!(codes.len() > 30, "only {} codes were found", codes.len());
    codes
}

/// The codes of what the pipeline refuses to ask for: `unfit("code", ...)` and `code: "code"`.
fn pipeline_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for path in ["src/pipeline/mod.rs", "src/pipeline/edit.rs", "src/pipeline/sources.rs"] {
        let text = file(path);
        for before in ["unfit(", "code: "] {
            let after = text.split(before).skip(1).filter_map(|after| after.trim_start().strip_prefix('"'));
            codes.extend(after.filter_map(|code| Some(code.split_once('"')?.0.to_owned())));
        }
    }
    assert!(codes.len() > 3, "{codes:?}");
    codes
}

/// The codes with which a call is refused that its owner may not have: `code := 'code'`.
fn refused_calls() -> BTreeSet<String> {
    let lines = MIGRATIONS
        .iter()
        .flat_map(|(.., text)| text.lines())
        .map(str::trim)
        .filter(|line| line.starts_with("code := "));
    let codes: BTreeSet<String> = lines.flat_map(|line| marked(line, '\'')).collect();
    assert!(codes.len() > 2, "{codes:?}");
    codes
}

/// The codes that statements and triggers write by themselves: what is in quotes where `error_code` is set, and neither status nor stage.
fn statement_codes() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
    let statements = std::fs::read_dir(folder)
        .expect("sql/ is there")
        .map(|entry| std::fs::read_to_string(entry.expect("it can be listed").path()).expect("statements are text"));
    let triggers = MIGRATIONS.iter().map(|(.., text)| (*text).to_owned());
    let states = ["pending", "processing", "generating", "completed", "partial", "failed", "cancelled", "finished"];
    let adoption = include_str!("../../supabase/adopt/carry_over.sql").to_owned();
    let sets = |line: &&str| {
        line.contains("error_code = ") || line.contains("error_code := ") || line.ends_with(" as error_code,")
    };
    let codes: BTreeSet<String> = statements
        .chain(triggers)
        .chain([adoption])
        .flat_map(|text| text.lines().filter(sets).flat_map(|line| marked(line, '\'')).collect::<Vec<_>>())
        .filter(|code| !states.contains(&code.as_str()))
        .collect();
    assert!(codes.contains("before_carousel"), "{codes:?}");
    codes
}
