//! Every variable, with its option, meaning and default, as the command line has them.

use std::collections::BTreeSet;
use std::path::Path;

use carousel::cli::Cli;
use clap::{Arg, Command, CommandFactory};

use crate::{file, name, pages, table};

/// The arguments of every command, each option once.
pub fn arguments() -> Vec<Arg> {
    let mut cli = Cli::command();
    cli.build();
    let mut seen = BTreeSet::new();
    let own = ["help", "version"];
    [&cli]
        .into_iter()
        .chain(subcommands(&cli).flat_map(|command| [command].into_iter().chain(subcommands(command))))
        .flat_map(Command::get_arguments)
        .filter(|argument| !own.contains(&argument.get_id().as_str()))
        .filter(|argument| seen.insert(argument.get_id().to_string()))
        .cloned()
        .collect()
}

/// The commands below one, without that which explains them.
fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| command.get_name() != "help")
}

#[test]
fn every_variable_is_told_as_the_command_line_has_it() {
    let rows = table(&file("src/config/README.md"), "| Variable | Option | Meaning | Default |");
    let known: Vec<Arg> = arguments().into_iter().filter(|argument| argument.get_env().is_some()).collect();
    let variable = |argument: &Arg| argument.get_env().expect("it has one").to_string_lossy().into_owned();
    let expected: Vec<String> = known.iter().map(variable).collect();
    let told: Vec<String> = rows.iter().map(|row| name(&row[0])).collect();
    assert_eq!(told, expected, "the variables, in the order of `carousel --help`, `carousel dev --help`");

    for (row, argument) in rows.iter().zip(&known) {
        let variable = variable(argument);
        let option = format!("--{}", argument.get_long().expect("every option is long"));
        assert_eq!(name(&row[1]), option, "the option of {variable}");
        let meaning = argument.get_help().expect("every option has a meaning").to_string();
        assert!(row[2].starts_with(&meaning), "{variable} means: {meaning}");
        let default: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        match default.as_slice() {
            [] => assert!(!row[3].starts_with('`') || row[3].contains(' '), "{variable} has no default: {}", row[3]),
            [default] => assert_eq!(row[3], format!("`{default}`"), "the default of {variable}"),
            many => panic!("{variable} has several defaults: {many:?}"),
        }
    }
}

#[test]
fn every_option_without_a_variable_stands_at_its_command() {
    let rows = table(&file("src/cli/README.md"), "| Command | What it does | Its own options |");
    let mut cli = Cli::command();
    cli.build();
    let commands: Vec<&Command> = subcommands(&cli).collect();
    let told: Vec<String> = rows.iter().map(|row| name(&row[0])).collect();
    let expected: Vec<String> = commands.iter().map(|command| format!("carousel {}", command.get_name())).collect();
    assert_eq!(told, expected);
    for (row, command) in rows.iter().zip(commands) {
        // A command with commands of its own names them, and the options of all of them.
        let marks = crate::marked(&row[1], '`');
        for below in subcommands(command) {
            assert!(marks.iter().any(|mark| mark == below.get_name()), "{} names `{}`", row[0], below.get_name());
        }
        let arguments = || [command].into_iter().chain(subcommands(command)).flat_map(Command::get_arguments);
        let long = |argument: &Arg| argument.get_long().map(|long| format!("--{long}"));
        let told: BTreeSet<String> =
            crate::marked(&row[2], '`').into_iter().filter(|word| word.starts_with("--")).collect();
        let all: BTreeSet<String> = arguments().filter_map(long).collect();
        assert!(told.is_subset(&all), "{} has no {:?}", row[0], told.difference(&all));
        for option in arguments().filter(|argument| argument.get_env().is_none()).filter_map(long) {
            assert!(
                ["--help", "--version"].contains(&option.as_str()) || told.contains(&option),
                "{} {option}",
                row[0]
            );
        }
    }
}

/// What is read without the command line, such as `CAROUSEL_HOME`, is told as well.
#[test]
fn every_variable_of_ours_in_the_sources_is_told() {
    let page = pages();
    let mut names = BTreeSet::new();
    for sources in ["/src", "/supabase/local/src"] {
        collect(Path::new(&format!("{}{sources}", env!("CARGO_MANIFEST_DIR"))), &mut names);
    }
    assert!(names.contains("CAROUSEL_HOME") && names.contains("CAROUSEL_LEASE_SECONDS"), "{names:?}");
    let silent: Vec<_> = names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(silent.is_empty(), "on no page: {silent:?}");
    // And no other way round: what the page names is read somewhere.
    let mut read = names.clone();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults")), &mut read);
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/edge-config")), &mut read);
    let stale: Vec<_> = variables(&page).into_iter().filter(|name| !read.contains(name)).collect();
    assert!(stale.is_empty(), "on a page, but read nowhere: {stale:?}");
    let checks = variables(&file(".ci/run"));
    assert!(checks.is_subset(&names), "{checks:?}");
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_none_or(|kind| kind != "md") {
            // Pictures stand among the sources as well.
            let text = std::fs::read(&path).expect("it can be read");
            names.extend(variables(&String::from_utf8_lossy(&text)));
        }
    }
}

fn variables(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !(letter.is_ascii_uppercase() || letter == '_'))
        .filter(|word| word.starts_with("CAROUSEL_") && word.len() > "CAROUSEL_".len())
        .map(str::to_owned)
        .collect()
}

/// Every number that the program counts, with its labels.
#[test]
fn every_number_of_the_metrics_is_told() {
    let text = file("src/telemetry/metrics.rs");
    let described: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("describe_")?.split('"').nth(1).map(str::to_owned))
        .collect();
    let counted: BTreeSet<String> =
        text.split('"').filter(|word| word.starts_with("carousel_")).map(str::to_owned).collect();
    assert_eq!(described, counted, "every number that is counted is described");
    let told: BTreeSet<String> = table(&file("src/worker/README.md"), "| Number | Labels | What it is |")
        .iter()
        .map(|row| name(&row[0]))
        .collect();
    assert_eq!(told, described);
}
