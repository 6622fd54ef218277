//! The pages say what is: their commands, options, tables, codes and links are compared with the code.
#![cfg(feature = "local")]

#[path = "readme/codes.rs"]
mod codes;
#[path = "readme/columns.rs"]
mod columns;
#[path = "readme/commands.rs"]
mod commands;
#[path = "readme/configuration.rs"]
mod configuration;
#[path = "readme/links.rs"]
mod links;
#[path = "readme/map.rs"]
mod map;
#[path = "readme/sizes.rs"]
mod sizes;
#[path = "readme/workflows.rs"]
mod workflows;

use std::path::Path;

/// A file of the repository.
fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages with words to hold to the code, each beside what it tells of.
const PAGES: &[&str] = &[
    "README.md",
    ".github/CONTRIBUTING.md",
    ".github/SECURITY.md",
    "edge-config/README.md",
    "src/README.md",
    "src/cli/README.md",
    "src/config/README.md",
    "src/http/README.md",
    "src/pages/README.md",
    "src/worker/README.md",
    "supabase/README.md",
    "supabase/adopt/README.md",
    "supabase/local/README.md",
];

/// The paths of all files of the repository, without what is made or installed in it.
fn files() -> Vec<String> {
    fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
        for entry in folder.read_dir().expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            let made = [".git", ".carousel", "node_modules", "target", "carousel-images"];
            // What the benchmarks resolve to is made as well.
            if path.ends_with("benches/Cargo.lock") {
                continue;
            }
            if path.is_file() {
                let path = path.strip_prefix(root).expect("it is in the repository");
                files.push(path.to_str().expect("paths are text").to_owned());
            } else if !made.iter().any(|made| path.ends_with(made)) {
                collect(root, &path, files);
            }
        }
    }
    let (root, mut files) = (Path::new(env!("CARGO_MANIFEST_DIR")), Vec::new());
    collect(root, root, &mut files);
    files
}

/// All pages, one after the other.
fn pages() -> String {
    PAGES.iter().map(|path| file(path)).collect::<Vec<_>>().join("\n")
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    page.split("\n```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'))
        .filter(|(named, _)| *named == language)
        .map(|(_, text)| text.to_owned())
        .collect()
}

/// The rows of the only table with this header, as cells.
fn table(page: &str, header: &str) -> Vec<Vec<String>> {
    let (_, after) = page.split_once(&format!("\n{header}\n|")).unwrap_or_else(|| panic!("no table {header}"));
    let rows: Vec<Vec<String>> = after
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let width = header.matches('|').count() - 1;
    for row in &rows {
        assert_eq!(row.len(), width, "{row:?}");
    }
    assert!(!rows.is_empty(), "the table {header} is empty");
    rows
}

/// What stands in backticks, or between other equal marks.
fn marked(text: &str, mark: char) -> Vec<String> {
    text.split(mark).skip(1).step_by(2).map(str::to_owned).collect()
}

/// The only marked text of a cell.
fn name(cell: &str) -> String {
    let mut names = marked(cell, '`');
    assert_eq!(names.len(), 1, "one name in backticks: {cell}");
    names.remove(0)
}

#[test]
fn a_page_is_taken_apart_as_it_is_read() {
    let page = "a\n```sh\none\ntwo\n```\nb\n```js\nthree\n```\n| A | B |\n|---|---|\n| `x`, `y` | |\n\n| C |\n";
    assert_eq!(blocks(page, "sh"), ["one\ntwo"]);
    assert_eq!(blocks(page, "js"), ["three"]);
    assert_eq!(table(page, "| A | B |"), [["`x`, `y`", ""]]);
    assert_eq!(marked("`x`, `y`", '`'), ["x", "y"]);
}
