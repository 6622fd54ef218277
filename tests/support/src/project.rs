//! A Supabase project for one test: a database of its own, made from a template that is migrated once for each test binary.

use std::sync::Arc;

use carousel::migrations;
use carousel_local::bootstrap;
use carousel_local::install::{self, Runtime};
use carousel_local::postgres::{ADMIN, Server};
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use uuid::Uuid;

/// What all tests of one binary share: the programs, a running server, and a migrated database to copy.
pub struct Shared {
    pub runtime: Runtime,
    pub server: Arc<Server>,
}

const TEMPLATE: &str = "migrated";

static SHARED: OnceCell<Shared> = OnceCell::const_new();

/// The programs and the server, made by the first test that asks.
pub async fn shared() -> &'static Shared {
    SHARED
        .get_or_init(|| async {
            let runtime = install::ensure(&install::home(), |_| {}).await.expect("the local stack can be installed");
            let server = Server::temporary(&runtime.postgres).await.expect("PostgreSQL starts");
            // The template's connections belong to this runtime; a copy needs them closed.
            fresh(&server, TEMPLATE, true).await;
            let mut owner = server.connect("postgres", TEMPLATE).await.expect("postgres may connect");
            migrations::apply(&mut owner).await.expect("the migrations apply");
            let worker = "alter role carousel_worker login password 'worker'";
            owner.batch_execute(worker).await.expect("postgres may give the worker's role a login");
            disconnect(owner, &server, TEMPLATE).await;
            Shared { runtime, server: Arc::new(server) }
        })
        .await
}

/// A database like that of a fresh hosted project.
pub async fn fresh(server: &Server, name: &str, with_realtime: bool) {
    server.create_database(name, None).await.expect("a database can be made");
    let admin = server.connect(ADMIN, name).await.expect("the superuser may connect");
    bootstrap::project(&admin, with_realtime).await.expect("a project can be set up");
    disconnect(admin, server, name).await;
}

/// Closes a connection and waits until the server has noticed.
async fn disconnect(client: Client, server: &Server, database: &str) {
    drop(client);
    let admin = server.connect(ADMIN, "postgres").await.expect("the superuser may connect");
    let sessions = "select count(*) from pg_stat_activity where datname = $1";
    while admin.query_one(sessions, &[&database]).await.expect("sessions can be counted").get::<_, i64>(0) > 0 {
        tokio::task::yield_now().await;
    }
}

/// A database of one test. It goes with the server.
pub struct Project {
    pub shared: &'static Shared,
    pub database: String,
    /// Connected as `postgres`, the owner.
    pub owner: Client,
}

impl Project {
    /// A migrated project with nobody in it.
    pub async fn new() -> Self {
        let shared = shared().await;
        let database = format!("test_{}", Uuid::new_v4().simple());
        shared.server.create_database(&database, Some(TEMPLATE)).await.expect("the template can be copied");
        let owner = shared.server.connect("postgres", &database).await.expect("postgres may connect");
        Self { shared, database, owner }
    }

    /// A project that an app has had before carousel came, with the app's own tables, and nobody in it.
    pub async fn before_carousel() -> Self {
        let shared = shared().await;
        let database = format!("test_{}", Uuid::new_v4().simple());
        fresh(&shared.server, &database, true).await;
        let owner = shared.server.connect("postgres", &database).await.expect("postgres may connect");
        owner.batch_execute(include_str!("../../schema/before.sql")).await.expect("the app's own migration applies");
        Self { shared, database, owner }
    }

    /// Lets the frontend from before carousel go on here, which shows objects at `address`.
    pub async fn let_frontend_go_on(&self, address: &str) {
        let admin = self.admin().await;
        let public = "update storage.buckets set public = true where id = 'generated-carousels'";
        admin.batch_execute(public).await.expect("a bucket can be public");
        let address = format!("update carousel_private.adoption set public_address = '{address}'");
        let words = include_str!("../../../supabase/adopt/old_words.sql");
        for piece in [words, &address, include_str!("../../../supabase/adopt/frontend.sql")] {
            let piece = format!("begin; {piece}; commit");
            self.owner
                .batch_execute(&piece)
                .await
                .unwrap_or_else(|error| panic!("the frontend can't go on: {error:?}"));
        }
    }

    /// Connection string of the worker's own role.
    pub fn worker_url(&self) -> String {
        format!(
            "postgresql://carousel_worker:worker@127.0.0.1:{}/{}?sslmode=disable",
            self.shared.server.port(),
            self.database
        )
    }

    /// Makes a user without a password.
    pub async fn user(&self) -> Uuid {
        let id = Uuid::new_v4();
        let insert = "insert into auth.users (id, email, aud, role) values ($1, $2, 'authenticated', 'authenticated')";
        self.admin().await.execute(insert, &[&id, &format!("{id}@example.com")]).await.expect("a user can be made");
        id
    }

    /// A connection as the superuser.
    pub async fn admin(&self) -> Client {
        self.shared.server.connect(ADMIN, &self.database).await.expect("the superuser may connect")
    }

    /// A connection that acts as this signed-in user, as PostgREST does for them.
    pub async fn signed_in(&self, user: Uuid) -> Client {
        let client =
            self.shared.server.connect("authenticator", &self.database).await.expect("authenticator may connect");
        let claims = serde_json::json!({ "sub": user, "role": "authenticated", "aud": "authenticated" });
        client
            .batch_execute(&format!("set role authenticated; set request.jwt.claims = '{claims}'"))
            .await
            .expect("authenticator may become authenticated");
        client
    }

    /// A connection that acts as somebody who is not signed in.
    pub async fn anonymous(&self) -> Client {
        let client =
            self.shared.server.connect("authenticator", &self.database).await.expect("authenticator may connect");
        client.batch_execute("set role anon").await.expect("authenticator may become anon");
        client
    }
}
