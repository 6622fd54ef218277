//! Every file and heading that the page points at.

use std::path::Path;

use crate::{marked, readme};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The page without its fenced blocks.
fn prose() -> String {
    readme().split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_leads_somewhere() {
    let prose = prose();
    let headings: Vec<String> = prose.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
    let mut links = 0;
    for after in prose.split("](").skip(1) {
        let target = after.split(')').next().unwrap_or_default();
        match target.strip_prefix('#') {
            Some(heading) => assert!(headings.iter().any(|known| known == heading), "no heading #{heading}"),
            None => {
                assert!(!target.contains("://"), "a link out of the repository can't be checked: {target}");
                assert!(Path::new(ROOT).join(target).exists(), "no file {target}");
            }
        }
        links += 1;
    }
    assert!(links > 20, "only {links} links were found");
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
    let folders = ["src/", "sql/", "supabase/", "edge-config/", "tests/", ".ci/"];
    let mut files = 0;
    for named in marked(&prose(), '`') {
        if folders.iter().any(|folder| named.starts_with(folder)) {
            assert!(Path::new(ROOT).join(&named).exists(), "no file {named}");
            files += 1;
        }
    }
    assert!(files > 5, "only {files} files were found");
}

/// Each of the contents' headings stands there, in this order.
#[test]
fn the_contents_are_complete() {
    let prose = prose();
    let sections: Vec<String> = prose.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let listed: Vec<String> =
        prose.lines().filter_map(|line| Some(line.strip_prefix("- [")?.split_once("](#")?.0.to_owned())).collect();
    assert_eq!(listed, sections);
}
