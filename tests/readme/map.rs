//! The map of the architecture's page.

use std::collections::BTreeSet;

use crate::{file, name, table};

#[test]
fn every_module_stands_in_the_map_and_no_other() {
    let text = file("src/lib.rs");
    let modules =
        text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    let modules: BTreeSet<String> = modules.map(str::to_owned).collect();
    assert!(modules.len() > 10, "{modules:?}");
    let told: Vec<String> =
        table(&file("src/README.md"), "| Module | What it is |").iter().map(|row| name(&row[0])).collect();
    assert_eq!(told.len(), modules.len(), "a module has one row: {told:?}");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), modules, "the rows of src/README.md, and src/lib.rs");
}
