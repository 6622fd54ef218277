//! What a client may write, and the code that a frontend begins with.

use std::collections::{BTreeMap, BTreeSet};

use carousel::migrations::MIGRATIONS;

use crate::{blocks, file, marked, name, pages, table};

/// What `authenticated` may write of a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rights {
    insert: BTreeSet<String>,
    update: BTreeSet<String>,
    delete: bool,
}

/// The grants of the migrations, by table.
fn rights() -> BTreeMap<String, Rights> {
    let text: Vec<&str> = MIGRATIONS.iter().flat_map(|(.., text)| text.split_whitespace()).collect();
    let text = text.join(" ");
    let mut rights = BTreeMap::<String, Rights>::new();
    for statement in text.split(';') {
        let Some((_, grant)) = statement.split_once("grant ") else { continue };
        let Some((rest, "authenticated")) = grant.rsplit_once(" to ") else { continue };
        let Some((what, table)) = rest.rsplit_once(" on public.") else { continue };
        let of = rights.entry(table.to_owned()).or_default();
        let columns = |list: &str| list.trim_matches([' ', '(', ')']).split(", ").map(str::to_owned).collect();
        if let Some(list) = what.strip_prefix("insert ") {
            of.insert.extend::<BTreeSet<_>>(columns(list));
        } else if let Some(list) = what.strip_prefix("update ") {
            of.update.extend::<BTreeSet<_>>(columns(list));
        } else {
            assert!(["select", "select, delete"].contains(&what), "a grant that this test does not know: {what}");
            of.delete |= what.ends_with("delete");
        }
    }
    rights
}

#[test]
fn every_column_that_a_client_may_write_is_told_and_no_other() {
    let rows = table(&file("supabase/README.md"), "| Table | Insert | Update | Delete |");
    let told: BTreeMap<String, Rights> = rows
        .iter()
        .map(|row| {
            let columns = |cell: &str| marked(cell, '`').into_iter().collect();
            let rights = Rights { insert: columns(&row[1]), update: columns(&row[2]), delete: row[3] == "yes" };
            (name(&row[0]), rights)
        })
        .collect();
    let granted = rights();
    assert_eq!(granted.len(), 4, "{:?}", granted.keys());
    assert_eq!(told, granted);
}

#[test]
fn every_view_of_the_operator_is_told() {
    let schema: String = MIGRATIONS.iter().map(|(.., text)| *text).collect();
    let views = schema.split("create view carousel_private.").skip(1);
    let views: BTreeSet<_> = views.filter_map(|view| Some(view.split_once(' ')?.0.to_owned())).collect();
    let told: BTreeSet<_> =
        table(&file("supabase/README.md"), "| View | What it tells |").iter().map(|row| name(&row[0])).collect();
    assert_eq!(told, views);
}

#[test]
fn a_frontends_code_names_what_is_there_and_writes_what_it_may() {
    let granted = rights();
    let schema: String = MIGRATIONS.iter().map(|(.., text)| *text).collect();
    let (mut tables, mut filters, mut writes) = (0, 0, 0);
    for block in blocks(&pages(), "js") {
        for (before, within) in [("table: '", &granted), (".from('", &granted)] {
            for after in block.split(before).skip(1) {
                let named = after.split('\'').next().unwrap_or_default();
                let bucket = schema.contains(&format!("values (\n  '{named}'"));
                assert!(within.contains_key(named) || (before == ".from('" && bucket), "no table {named}");
                tables += 1;
                // The filter of a subscription stands before its tables, for both.
                if before == "table: '" {
                    let filter = block.split_once("filter: `").expect("no subscription is without a filter").1;
                    let column = filter.split('=').next().unwrap_or_default();
                    assert!(schema.contains(&format!("comment on column public.{named}.{column} is")), "{column}");
                    filters += 1;
                }
                for (call, insert) in [(".insert({ ", true), (".update({ ", false)] {
                    let Some((_, object)) = after.split(".from(").next().and_then(|rest| rest.split_once(call)) else {
                        continue;
                    };
                    let allowed = if insert { &granted[named].insert } else { &granted[named].update };
                    for key in keys(object) {
                        assert!(allowed.contains(&key), "{key} may not be written to {named}");
                        writes += 1;
                    }
                }
            }
        }
    }
    assert!(tables > 5 && filters == 2 && writes == 17, "{tables} tables, {filters} filters, {writes} columns");
}

/// The keys of an object, from behind its opening brace.
fn keys(object: &str) -> Vec<String> {
    let (mut depth, mut key, mut keys, mut in_value) = (0, String::new(), Vec::new(), false);
    for letter in object.chars() {
        match letter {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' => depth -= 1,
            ':' if depth == 0 => in_value = true,
            '}' | ',' if depth == 0 => {
                keys.push(std::mem::take(&mut key));
                in_value = false;
                if letter == '}' {
                    return keys;
                }
            }
            '}' => depth -= 1,
            letter if depth == 0 && !in_value && !letter.is_whitespace() => key.push(letter),
            _ => {}
        }
    }
    panic!("an object without an end: {object}");
}

#[test]
fn keys_are_found_with_and_without_values() {
    assert_eq!(keys("a, b: [1, { x: 2 }], c: new Date() }) and, so: on"), ["a", "b", "c"]);
}
