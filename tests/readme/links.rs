//! Every file and heading that a page points at.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::{PAGES, file, files, marked};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A page without its fenced blocks.
fn prose(page: &str) -> String {
    file(page).split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// What the links of a page point at, each as a path from the root and a heading there.
fn links(page: &str) -> Vec<(String, Option<String>)> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).map(|after| after.split(')').next().unwrap_or_default());
    let links = targets.map(|target| {
        assert!(!target.contains("://"), "{page}: a link out of the repository can't be checked: {target}");
        let (path, heading) = target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
        let path = if path.is_empty() { page.to_owned() } else { beside(page, path) };
        (path, heading.map(str::to_owned))
    });
    links.collect()
}

/// The path from the root of what a page names from its own folder.
fn beside(page: &str, path: &str) -> String {
    let mut whole = PathBuf::new();
    for part in Path::new(page).parent().expect("a page is a file").join(path).components() {
        match part {
            Component::ParentDir => assert!(whole.pop(), "{page}: {path} is outside of the repository"),
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    whole.to_str().expect("paths are text").to_owned()
}

#[test]
fn a_path_is_read_from_its_pages_folder() {
    assert_eq!(beside("README.md", "src/README.md"), "src/README.md");
    assert_eq!(beside("src/http/README.md", "../../supabase/README.md"), "supabase/README.md");
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = 0;
    for page in PAGES {
        for (path, heading) in links(page) {
            assert!(Path::new(ROOT).join(&path).exists(), "{page}: no file {path}");
            if let Some(heading) = heading {
                let headings: Vec<String> =
                    prose(&path).lines().filter(|line| line.starts_with('#')).map(anchor).collect();
                assert!(headings.contains(&heading), "{page}: no heading #{heading} in {path}");
            }
            found += 1;
        }
    }
    assert!(found > 100, "only {found} links were found");
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|letter| letter.is_alphanumeric() || [' ', '-'].contains(letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn every_file_that_is_named_exists() {
    let folders = ["src/", "sql/", "supabase/", "edge-config/", "tests/", ".ci/", ".github/"];
    let mut files = 0;
    for page in PAGES {
        for named in marked(&prose(page), '`') {
            if folders.iter().any(|folder| named.starts_with(folder)) {
                assert!(Path::new(ROOT).join(&named).exists(), "{page}: no file {named}");
                files += 1;
            }
        }
    }
    assert!(files > 5, "only {files} files were found");
}

/// Whoever follows links from the README comes to each page, and each page is held to the code.
#[test]
fn every_page_is_reached_from_the_readme() {
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut to_read = vec!["README.md".to_owned()];
    while let Some(page) = to_read.pop() {
        for (path, _) in links(&page) {
            if PAGES.contains(&path.as_str()) && reached.insert(path.clone()) {
                to_read.push(path);
            }
        }
    }
    let pages: BTreeSet<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(reached, pages);
    // The changelog and the benchmarks' page tell of the past.
    let told = |path: &String| path.ends_with(".md") && path != "CHANGELOG.md" && path != "benches/README.md";
    let there: BTreeSet<String> = files().into_iter().filter(told).collect();
    assert_eq!(there, pages, "the pages that there are, and the list of those that are tested");
}

/// The first page is short, and shows a picture before anything is to be read through.
#[test]
fn the_readme_begins_with_a_picture_and_ends_soon() {
    let page = file("README.md");
    let first = page.lines().take(10).find(|line| line.starts_with("!["));
    let (_, picture) = first.and_then(|line| line.split_once("](")).expect("a picture on the first screen");
    let picture = Path::new(ROOT).join(picture.trim_end_matches(')'));
    let bytes = picture.metadata().unwrap_or_else(|error| panic!("{}: {error}", picture.display())).len();
    assert!((10_000..200_000).contains(&bytes), "{} has {bytes} bytes", picture.display());
    assert!(page.len() < 9000, "{} bytes: what is for some goes to a page of its own", page.len());
}
