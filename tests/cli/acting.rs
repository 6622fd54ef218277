//! As whom a command acts: how it is told, and what it says when it is not.

use serde_json::Value;
use tokio::process::Command;

use crate::deployment::{Deployment, Person};
use crate::{carousel, ended, tells_a_secret};

/// A command as this person.
pub fn person(person: &Person<'_>, arguments: &[&str]) -> Command {
    let stack = &person.deployment.stack;
    let mut command = carousel(arguments);
    command
        .env("SUPABASE_URL", stack.url())
        .env("SUPABASE_PUBLISHABLE_KEY", stack.publishable_key())
        .env("SUPABASE_ACCESS_TOKEN", &person.token);
    command
}

/// A command as the operator.
pub fn operator(deployment: &Deployment, arguments: &[&str]) -> Command {
    let mut command = carousel(arguments);
    command.env("SUPABASE_URL", deployment.stack.url()).env("SUPABASE_SECRET_KEY", deployment.stack.secret_key());
    command
}

/// What a command prints, which is one JSON document, once it has ended with `code`.
pub async fn json(command: Command, code: i32) -> Value {
    let told = format!("{command:?}");
    let (ended, said, error) = ended(command).await;
    assert_eq!(ended, code, "{told}: {said}{error}");
    assert!(!tells_a_secret(&said) && !tells_a_secret(&error), "{said}{error}");
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{told} prints one JSON document: {said}{error}"))
}

/// What a command says on standard error, once it has ended with `code`.
pub async fn refused(command: Command, code: i32) -> String {
    let told = format!("{command:?}");
    let (ended, said, error) = ended(command).await;
    assert_eq!(ended, code, "{told}: {said}{error}");
    assert!(said.is_empty() && !tells_a_secret(&error), "{said}{error}");
    error
}

#[tokio::test]
async fn who_is_nobody_is_told_how_to_be_somebody() {
    let mut nobody = carousel(&["jobs", "list"]);
    nobody.env("SUPABASE_URL", "http://127.0.0.1:1");
    let error = refused(nobody, 1).await;
    for name in ["SUPABASE_SECRET_KEY", "SUPABASE_ACCESS_TOKEN"] {
        assert!(error.contains(name), "{error}");
    }
    let error = refused(carousel(&["jobs", "list"]), 1).await;
    assert!(error.contains("SUPABASE_URL is not set"), "{error}");
    // What the Supabase CLI keeps under the same name is no token of the project's.
    let mut theirs = carousel(&["jobs", "list"]);
    theirs.env("SUPABASE_URL", "http://127.0.0.1:1").env("SUPABASE_ACCESS_TOKEN", "sbp_0123456789");
    assert!(refused(theirs, 1).await.contains("nobody to act as"));
    let mut keyless = carousel(&["jobs", "list", "--token", "a.b.c"]);
    keyless.env("SUPABASE_URL", "http://127.0.0.1:1");
    assert!(refused(keyless, 1).await.contains("SUPABASE_PUBLISHABLE_KEY is not set"));
}

#[tokio::test]
async fn a_bad_token_or_a_dead_project_is_told_in_a_line() {
    let deployment = Deployment::new().await;
    let somebody = deployment.person().await;
    let mut forged = person(&somebody, &["jobs", "list"]);
    forged.env("SUPABASE_ACCESS_TOKEN", somebody.token.replace('.', ".x"));
    let error = refused(forged, 1).await;
    assert!(error.contains("does not accept the token") && error.trim().lines().count() == 1, "{error}");
    let mut no_token = person(&somebody, &["jobs", "list", "--json"]);
    no_token.env("SUPABASE_ACCESS_TOKEN", "not a token");
    assert!(refused(no_token, 1).await.contains("SUPABASE_ACCESS_TOKEN"));
    let mut dead = person(&somebody, &["jobs", "list", "--json"]);
    dead.env("SUPABASE_URL", "http://127.0.0.1:1");
    assert!(refused(dead, 1).await.contains("can't be reached"));
}
