//! Auth and the gateway of the local stack, as clients meet them.

mod gateway;
mod sessions;
mod users;

use std::sync::Arc;

use carousel_local::install::{self, Runtime};
use carousel_local::openai::OpenAi;
use carousel_local::postgres::{ADMIN, Server};
use carousel_local::stack::Stack;
use carousel_local::{bootstrap, database};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use uuid::Uuid;

const TEMPLATE: &str = "fresh_project";

/// What the tests of this binary share: one server, with a fresh project to copy.
async fn shared() -> &'static (Runtime, Arc<Server>) {
    static SHARED: OnceCell<(Runtime, Arc<Server>)> = OnceCell::const_new();
    let start = || async {
        let runtime = install::ensure(&install::home(), |step| eprintln!("{step}")).await.unwrap();
        let server = Server::temporary(&runtime.postgres).await.unwrap();
        server.create_database(TEMPLATE, None).await.unwrap();
        bootstrap::project(&server.connect(ADMIN, TEMPLATE).await.unwrap(), true).await.unwrap();
        (runtime, Arc::new(server))
    };
    SHARED.get_or_init(start).await
}

/// A project with a stack of its own.
struct Project {
    stack: Stack,
    client: reqwest::Client,
    _directory: tempfile::TempDir,
}

impl Project {
    async fn new() -> Self {
        let (runtime, server) = shared().await;
        let database = format!("project_{}", Uuid::new_v4().simple());
        server.create_database(&database, Some(TEMPLATE)).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let stack =
            Stack::on(runtime, Arc::clone(server), &database, directory.path(), OpenAi::new("sk-test")).await.unwrap();
        Self { stack, client: reqwest::Client::new(), _directory: directory }
    }

    /// A project whose table `notes` everybody who is signed in may write, each seeing their own.
    async fn with_notes() -> Self {
        let project = Self::new().await;
        let notes = "create table public.notes (
                         id int generated always as identity primary key,
                         user_id uuid not null default auth.uid() references auth.users on delete cascade,
                         body text
                     );
                     alter table public.notes enable row level security;
                     create policy own on public.notes to authenticated
                         using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
                     grant select, insert (body) on public.notes to authenticated;
                     grant all on public.notes to service_role;";
        project.owner().await.batch_execute(notes).await.unwrap();
        project.stack.until_served("notes").await.unwrap();
        project
    }

    async fn owner(&self) -> Client {
        database::connect(&self.stack.database_url("postgres")).await.unwrap()
    }

    /// A request without any key.
    fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.stack.url()))
    }

    /// A request as a browser makes it before anybody has signed in.
    fn public(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).header("apikey", self.stack.publishable_key())
    }

    /// A request with the secret key, sent as supabase-js sends it.
    fn secret(&self, method: Method, path: &str) -> RequestBuilder {
        let key = self.stack.secret_key();
        self.bare(method, path).header("apikey", key).bearer_auth(key)
    }

    /// A request of a signed-in user.
    fn signed_in(&self, session: &Value, method: Method, path: &str) -> RequestBuilder {
        self.public(method, path).bearer_auth(session["access_token"].as_str().unwrap())
    }

    async fn sign_up(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": "a good one", "data": { "name": "Ada" } });
        answer(self.public(Method::POST, "/auth/v1/signup").json(&body), StatusCode::OK).await
    }

    async fn sign_in(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": "a good one" });
        answer(self.public(Method::POST, "/auth/v1/token?grant_type=password").json(&body), StatusCode::OK).await
    }
}

/// Sends the request and gives the body, which must have come with `status`.
async fn answer(request: RequestBuilder, status: StatusCode) -> Value {
    let answer = request.send().await.unwrap();
    let got = answer.status();
    let body = answer.text().await.unwrap();
    assert_eq!(got, status, "{body}");
    if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() }
}
