//! A project as one caller sees it: rows, objects and changes, with the rights of the caller and no more.

mod objects;
mod rows;

use crate::deployment::Deployment;
use carousel::supabase::{Caller, Project};

/// The deployment's project, for people.
fn project(deployment: &Deployment) -> Project {
    let stack = &deployment.stack;
    let url = stack.url().parse().expect("it is a URL");
    Project::new(&url, stack.publishable_key().to_owned().into(), &[]).expect("a project can be called")
}

/// Somebody who holds the secret key.
fn operator(deployment: &Deployment) -> Caller {
    let stack = &deployment.stack;
    let url = stack.url().parse().expect("it is a URL");
    Project::new(&url, stack.secret_key().to_owned().into(), &[]).expect("a project can be called").key_holder()
}
