//! Every command that a page tells a person to type.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use carousel::cli::Cli;
use carousel_local::install;
use clap::{CommandFactory, Parser};

use crate::{blocks, file, pages, table};

/// The commands of all `sh` blocks as words, without variables in front.
fn commands() -> Vec<Vec<String>> {
    let commands: Vec<Vec<String>> = blocks(&pages(), "sh")
        .iter()
        .flat_map(|block| block.lines().map(words).collect::<Vec<_>>())
        .map(|words| words.into_iter().skip_while(|word| is_assignment(word)).collect())
        .collect();
    assert!(commands.len() > 4, "{commands:?}");
    commands
}

fn is_assignment(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or_default();
    word.contains('=') && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

/// Splits a line as a shell does, as far as this page needs it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.trim().chars() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().expect("there is one").push(letter),
        }
    }
    assert!(quote.is_none() && !line.ends_with('\\'), "one line, its quotes closed: {line}");
    words
}

#[test]
fn words_are_split_as_a_shell_splits_them() {
    assert_eq!(words("URL='a b' carousel migrate --json"), ["URL=a b", "carousel", "migrate", "--json"]);
}

#[test]
fn every_command_is_one_that_exists() {
    let mut programs = Vec::new();
    for command in commands() {
        let (program, rest) = command.split_first().expect("a line has a word");
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        match (program.as_str(), rest.as_slice()) {
            ("cargo", ["run", "--", options @ ..]) => parse(options),
            ("cargo", ["test", "--workspace"]) => {}
            ("cargo", ["test", "--test", target, name, "--", "--ignored", "--nocapture"]) => {
                let test = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/{target}/{name}.rs"));
                let text = std::fs::read_to_string(&test).unwrap_or_else(|error| panic!("{}: {error}", test.display()));
                assert!(text.contains("#[ignore") && text.contains(&format!("fn {name}(")), "no ignored {name}");
            }
            ("carousel", options) => parse(options),
            ("docker", ["build", "--file", recipe, "--tag", "carousel", "."]) => {
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(recipe).exists(), "no {recipe}");
            }
            // See the next test.
            ("supabase", _) => {}
            _ => panic!("nothing here knows whether this works: {command:?}"),
        }
        programs.push(program.clone());
    }
    for program in ["cargo", "carousel", "supabase"] {
        assert!(programs.iter().any(|used| used == program), "no command begins with {program}");
    }
}

#[test]
fn every_exit_code_of_the_help_is_told() {
    let cli = Cli::command();
    let help =
        cli.find_subcommand("submit").and_then(|submit| submit.get_after_long_help()).expect("it tells its codes");
    let help = help.to_string();
    let codes = help.lines().skip_while(|line| *line != "Exit codes:").skip(1).take_while(|line| !line.is_empty());
    let codes: Vec<&str> = codes.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(codes.len() > 6, "{help}");
    let told: Vec<String> =
        table(&file("src/cli/README.md"), "| Exit code | Meaning |").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(told, codes);
}

fn parse(options: &[&str]) {
    if let Err(error) = Cli::try_parse_from(["carousel"].iter().chain(options)) {
        panic!("carousel {}: {error}", options.join(" "));
    }
}

/// The pinned CLI knows the command and each of its options.
#[tokio::test]
async fn every_command_of_the_supabase_cli_is_one_that_it_knows() {
    let program = install::ensure(&install::home(), |_| {}).await.expect("the local stack can be installed").supabase;
    // The CLI leaves files where it runs.
    let folder = tempfile::tempdir().expect("a folder can be made");
    for command in commands().into_iter().filter(|command| command[0] == "supabase") {
        let subcommand: Vec<&String> = command[1..].iter().take_while(|word| !word.starts_with('-')).collect();
        let help = Command::new(&program).args(&subcommand).arg("--help").current_dir(folder.path()).output();
        let help = help.expect("the CLI starts");
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        let usage = |words: usize| {
            format!("supabase {}", subcommand[..words].iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" "))
        };
        let known = (1..=subcommand.len()).rev().find(|words| text.contains(&format!("{} [flags]", usage(*words))));
        let words = known.filter(|_| help.status.success()).unwrap_or_else(|| panic!("{command:?}: {text}"));
        assert!(words == subcommand.len() || text.contains("\nARGUMENTS\n"), "{command:?}: {text}");
        let usage = usage(words);
        for option in command.iter().filter(|word| word.starts_with('-')) {
            let option = option.split('=').next().unwrap_or_default();
            let known =
                text.split(|letter: char| !(letter.is_alphanumeric() || letter == '-')).any(|word| word == option);
            assert!(known, "{usage} has no {option}");
        }
    }
}

#[test]
fn the_first_test_command_runs_all_tests_and_the_checks_use_it() {
    let page = file("README.md");
    let first = page.lines().find(|line| line.starts_with("cargo test")).expect("the page says how to test");
    assert_eq!(first, "cargo test --workspace");
    let checks = file(".ci/run");
    assert!(checks.contains("README.md") && checks.contains("cargo test"));
    assert!(checks.contains("-- dev --once"), "the first command of the page is run by the checks");
}

#[test]
fn the_container_is_built_with_the_rust_and_the_files_that_the_program_needs() {
    let page = file("README.md");
    let manifest = file("Cargo.toml");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("Rust has a version");
    let rust = rust.trim_matches('"');
    let recipe = file("edge-config/Dockerfile");
    assert!(recipe.contains(&format!("FROM rust:{rust}-")), "Rust {rust} in the recipe");
    assert!(page.contains(&format!("Rust {rust} or later")), "Rust {rust} at the top");
    // All that a clone has goes into the build, and nothing that is made in it.
    assert!(recipe.contains("\nCOPY . .\n"), "{recipe}");
    let bare = |line: &str| line.trim_start_matches("**").trim_start_matches('/').to_owned();
    let left_out: BTreeSet<String> = file(".dockerignore").lines().map(bare).collect();
    let mut made: BTreeSet<String> = file(".gitignore").lines().map(bare).collect();
    made.insert(".git".to_owned());
    assert_eq!(left_out, made, ".dockerignore and .gitignore");
    let command = recipe.lines().find_map(|line| line.strip_prefix("CMD ")).expect("it has a command");
    let words: Vec<String> = serde_json::from_str(command).expect("the command is a list");
    parse(&words.iter().map(String::as_str).collect::<Vec<_>>());
}
