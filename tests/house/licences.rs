//! What the program is made of, held to `deny.toml`: licences, banned crates, and where the code comes from.
//!
//! `cargo deny check` does the same, and looks for advisories besides. It is installed in minutes, this test runs at once, and both read the same lists.

use std::process::Command;

use serde_json::Value;

/// The texts in quotes of each line that begins like this.
fn listed<'a>(rules: &'a str, begin: &str) -> Vec<Vec<&'a str>> {
    let lines = rules.lines().map(str::trim).filter(|line| line.starts_with(begin));
    lines.map(|line| line.split('"').skip(1).step_by(2).collect()).collect()
}

/// Whether a licence expression can be met with what is allowed. `AND` binds closer than `OR`; an old `/` is an `OR`.
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    any(&mut rest, allowed) && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut met = all(words, allowed);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any(words, allowed);
            let Some((&")", rest)) = words.split_first() else { return false };
            *words = rest;
            met
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{licence} WITH {exception}").as_str())
        }
        [licence, rest @ ..] => {
            *words = rest;
            allowed.contains(licence)
        }
        [] => false,
    }
}

#[test]
fn an_expression_is_read_as_it_is_meant() {
    let met = |expression| is_met(expression, &["MIT", "ISC"]);
    for expression in
        ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC", "GPL-3.0 AND BSL OR MIT"]
    {
        assert!(met(expression), "{expression}");
    }
    for expression in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT WITH exception", "(MIT", "MIT ISC"]
    {
        assert!(!met(expression), "{expression}");
    }
}

#[test]
fn everything_that_is_linked_is_allowed() {
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).expect("there are rules");
    let allowed = listed(&rules, "allow = [").remove(0);
    let banned = listed(&rules, "{ crate = ");
    assert!(
        allowed.contains(&"MIT") && banned.contains(&vec!["openssl"]),
        "the rules are found: {allowed:?} {banned:?}"
    );

    let compiler = Command::new("rustc").arg("-vV").output().expect("the compiler tells its host");
    let compiler = String::from_utf8(compiler.stdout).expect("it writes text");
    let host = compiler.lines().find_map(|line| line.strip_prefix("host: ")).expect("a compiler has a host");
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host, "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo can be asked");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).expect("it answers JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    assert!(packages.len() > 100, "{} packages", packages.len());

    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        // `{ crate = "name", allow = ["licence", ...] }`, where `crate` alone is a ban.
        let own: Vec<&str> =
            banned.iter().filter(|rule| rule[0] == name).flat_map(|rule| &rule[1..]).copied().collect();
        if own.is_empty() && banned.iter().any(|rule| rule[0] == name) {
            faults.push(format!("{name} is banned"));
        }
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_met(licence, &[&allowed[..], &own].concat()) {
            faults.push(format!("{name} has the licence `{licence}`"));
        }
        let source = package["source"].as_str().unwrap_or("this repository");
        if source != "this repository" && source != "registry+https://github.com/rust-lang/crates.io-index" {
            faults.push(format!("{name} comes from {source}"));
        }
    }
    assert!(faults.is_empty(), "deny.toml does not allow this:\n{}", faults.join("\n"));
}

/// Packages of the Supabase CLI for other systems than the one that the lock was made on: their registry gave no digest of them. Nothing here installs them
/// but on those systems, and only the tests use the CLI.
const UNTOLD: [&str; 7] =
    ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-arm64-musl", "linux-x64-musl", "windows-arm64", "windows-x64"];

#[test]
fn every_package_of_npm_is_held_to_a_digest_but_for_those_that_have_none() {
    let mut untold = Vec::new();
    let locks = [
        include_str!("../../src/pages/package-lock.json"),
        include_str!("../../supabase/local/package-lock.json"),
        include_str!("../../benches/peers/package-lock.json"),
        include_str!("../edge/package-lock.json"),
        include_str!("../pages/package-lock.json"),
        include_str!("../supabase_js/package-lock.json"),
    ];
    for lock in locks {
        let lock: Value = serde_json::from_str(lock).expect("a lock is JSON");
        let packages = lock["packages"].as_object().expect("a lock lists packages");
        let digested = |package: &Value| package["integrity"].as_str().is_some_and(|text| text.starts_with("sha512-"));
        untold.extend(
            packages
                .iter()
                .filter(|(name, package)| !name.is_empty() && !digested(package))
                .map(|(name, _)| name.clone()),
        );
    }
    assert_eq!(untold, UNTOLD.map(|system| format!("node_modules/@supabase/cli-{system}")));
}
