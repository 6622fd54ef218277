use std::collections::BTreeSet;

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages");

/// The files of the folder with one of these endings, as `files!` names them.
fn present() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["", "form/", "project/", "show/", "style/"] {
        for entry in std::fs::read_dir(format!("{FOLDER}/{folder}")).expect("it can be listed") {
            let name = entry.expect("it can be listed").file_name().into_string().expect("names are text");
            if [".html", ".js", ".css"].iter().any(|ending| name.ends_with(ending)) {
                found.insert(format!("{folder}{name}"));
            }
        }
    }
    found
}

#[test]
fn every_file_of_the_folder_is_served() {
    let served: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(served, present());
}

/// A script in a page, or a text that becomes markup, is what an attacker looks for.
#[test]
fn no_page_holds_code_and_no_script_makes_markup_from_text() {
    for (name, text) in FILES {
        let forbidden: &[&str] = match name.rsplit_once('.') {
            Some((_, "html")) => &["<script>", "javascript:", " style=", " on"],
            Some((_, "js")) => {
                &["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "setTimeout(\""]
            }
            _ => &["@import", "url(http"],
        };
        let found: Vec<_> = forbidden.iter().filter(|word| text.contains(*word)).collect();
        let found: Vec<_> = found.into_iter().filter(|word| **word != " on" || text.contains(" onclick=")).collect();
        assert!(found.is_empty(), "{name} has {found:?}");
    }
}

#[test]
fn every_import_and_link_leads_somewhere() {
    let mut found = 0;
    for (name, text) in FILES {
        let here = Url::parse("http://pages/image-generator/assets/").unwrap().join(name).unwrap();
        let quoted = |mark: &'static str| text.split(mark).skip(1).filter_map(|after| after.split(['\'', '"']).next());
        for target in quoted(" from '").chain(quoted(" src=\"")).chain(quoted(" href=\"")) {
            let url = here.join(target).unwrap();
            if url.scheme() == "data" {
                continue;
            }
            let path = url.path().trim_start_matches("/image-generator");
            let known = match path.strip_prefix("/assets/") {
                Some(file) => FILES.iter().any(|(known, _)| *known == file),
                None => match path.strip_prefix("/npm/") {
                    Some(module) => MODULES.iter().any(|(known, _)| *known == module),
                    None => ["", "/jobs", "/templates"].contains(&path),
                },
            };
            assert!(known, "{name} names {target}");
            found += 1;
        }
    }
    assert!(found > 80, "only {found} were found");
}

#[test]
fn a_page_may_reach_its_own_origin_and_the_project_alone() {
    let local = policy("http://127.0.0.1:54321").unwrap();
    assert!(local.contains("connect-src 'self' http://127.0.0.1:54321 ws://127.0.0.1:54321;"), "{local}");
    let hosted = policy("https://abcdefgh.supabase.co/").unwrap();
    assert!(hosted.contains("connect-src 'self' https://abcdefgh.supabase.co wss://abcdefgh.supabase.co;"), "{hosted}");
    assert!(!hosted.contains("unsafe") && !hosted.contains('*'), "{hosted}");
    assert!(policy("nowhere").is_err());
}

#[test]
fn every_code_that_is_put_into_words_is_one_of_the_databases() {
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/README.md"));
    let (_, refusal) = FILES.iter().find(|(name, _)| *name == "project/refusal.js").unwrap();
    let (_, codes) = refusal.split_once("const CODES = {").unwrap();
    let codes: Vec<_> =
        codes.lines().take_while(|line| *line != "};").filter_map(|line| line.trim().split_once(": [")).collect();
    assert!(codes.len() > 10, "{codes:?}");
    for (code, _) in codes {
        assert!(readme.contains(&format!("\n| `{code}` |")), "{code}");
    }
}

#[test]
fn the_packages_are_pinned_and_their_lock_file_names_no_host_to_download_from() {
    let (package, lock) = (include_str!("package.json"), include_str!("package-lock.json"));
    assert!(!lock.contains("\"resolved\"") && !lock.contains("://"));
    let package: serde_json::Value = serde_json::from_str(package).unwrap();
    for (name, version) in package["dependencies"].as_object().unwrap() {
        assert!(version.as_str().unwrap().starts_with(|first: char| first.is_ascii_digit()), "{name} {version}");
    }
}
