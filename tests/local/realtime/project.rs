//! A project of its own for each test, on one PostgreSQL for all.

use std::sync::Arc;
use std::time::Duration;

use carousel::supabase::{self, Change, Error, Event, Subscription};
use carousel_local::caller::Keys;
use carousel_local::postgres::{ADMIN, Server};
use carousel_local::realtime::{Realtime, router};
use carousel_local::{bootstrap, database, install};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_postgres::Client;

pub const ANNA: &str = "11111111-1111-4111-8111-111111111111";
pub const BERT: &str = "22222222-2222-4222-8222-222222222222";
pub const PUBLISHABLE: &str = "sb_publishable_test";
const ISSUER: &str = "http://localhost/auth/v1";

/// Longer than anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What every test's database is a copy of.
const TEMPLATE: &str = "template_realtime";
const NOTES: &str = "
    create table public.notes (
        id int primary key, owner uuid not null, title text, tags text[], price numeric, ratio float8, done boolean,
        due timestamptz, style jsonb, body text, secret text
    );
    alter table public.notes alter column body set storage external;
    alter table public.notes enable row level security;
    create policy own on public.notes for select to authenticated using (owner = (select auth.uid()));
    grant select (id, owner, title, tags, price, ratio, done, due, style, body) on public.notes to authenticated;
    create table public.unpublished (id int primary key);
    grant select on public.unpublished to authenticated;
    alter publication supabase_realtime add table public.notes;
    create policy hear on realtime.messages for select to authenticated
        using (extension = 'broadcast' and (select realtime.topic()) = 'user:' || (select auth.uid()::text));
    create policy say on realtime.messages for insert to authenticated
        with check (extension = 'broadcast' and (select realtime.topic()) = 'user:' || (select auth.uid()::text));";

pub struct Project {
    pub realtime: Realtime,
    pub url: String,
    /// Connected as `postgres`.
    pub postgres: Client,
    /// Connected as the superuser.
    pub admin: Client,
    keys: Arc<Keys>,
}

impl Project {
    /// A fresh project with the table `notes`, whose rows their owners may see, but for the column `secret`.
    pub async fn new(name: &str) -> Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        let start = || async {
            let runtime = install::ensure(&install::home(), |step| eprintln!("{step}")).await.unwrap();
            let server = Server::temporary(&runtime.postgres).await.unwrap();
            server.create_database(TEMPLATE, None).await.unwrap();
            bootstrap::project(&server.connect(ADMIN, TEMPLATE).await.unwrap(), true).await.unwrap();
            server.connect("postgres", TEMPLATE).await.unwrap().batch_execute(NOTES).await.unwrap();
            server
        };
        let server = SERVER.get_or_init(start).await;
        server.create_database(name, Some(TEMPLATE)).await.unwrap();
        let admin = server.connect(ADMIN, name).await.unwrap();
        let postgres = server.connect("postgres", name).await.unwrap();

        let keys = Keys::new(&Keys::generate(), PUBLISHABLE.to_owned(), "sb_secret_test".to_owned(), ISSUER.to_owned());
        let keys = Arc::new(keys.unwrap());
        let pool = database::pool(&server.url(ADMIN, name), 8).unwrap();
        let realtime = Realtime::start(pool, keys.clone()).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().nest("/realtime/v1", router(realtime.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { realtime, url, postgres, admin, keys }
    }

    /// An access token that ends in so many seconds.
    pub fn token_for(&self, user: &str, seconds: i64) -> String {
        let exp = OffsetDateTime::now_utc().unix_timestamp() + seconds;
        let claims = json!({ "sub": user, "role": "authenticated", "aud": "authenticated", "iss": ISSUER, "exp": exp });
        self.keys.sign(&claims).unwrap()
    }

    pub fn token(&self, user: &str) -> String {
        self.token_for(user, 600)
    }

    pub async fn sql(&self, statement: &str) {
        self.postgres.batch_execute(statement).await.unwrap();
    }

    /// Listens to `notes` as `user`.
    pub async fn subscribe(&self, user: &str, filter: Option<&str>) -> Result<Subscription, Error> {
        self.subscribe_to("notes", user, filter).await
    }

    /// Listens to these changes with a token, which need not be a good one.
    pub async fn listen(&self, token: &str, changes: &[Change]) -> Result<Subscription, Error> {
        self.caller(token)?.changes(changes).await
    }

    pub fn caller(&self, token: &str) -> Result<supabase::Caller, Error> {
        let project = supabase::Project::new(&self.url.parse().unwrap(), PUBLISHABLE.to_owned().into(), &[]).unwrap();
        project.person(token)
    }

    pub async fn subscribe_to(&self, table: &str, user: &str, filter: Option<&str>) -> Result<Subscription, Error> {
        let change = Change { table: table.to_owned(), filter: filter.map(str::to_owned) };
        self.listen(&self.token(user), &[change]).await
    }

    /// Names of the database's replication slots.
    pub async fn slots(&self) -> Vec<String> {
        let names = "select slot_name::text from pg_replication_slots where database = current_database()";
        self.admin.query(names, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the replication slots are as they should be.
    pub async fn wait_for(&self, wanted: impl Fn(Vec<String>) -> bool) {
        let all = async {
            while !wanted(self.slots().await) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, all).await.expect("the slots come to be as wanted");
    }
}

/// The next event, which must come.
pub async fn next(subscription: &mut Subscription) -> Event {
    let event = timeout(PATIENCE, subscription.next()).await.expect("an event comes");
    event.expect("the connection stays")
}

/// Which rows the next events are of, up to and with the row `last`.
pub async fn ids_until(subscription: &mut Subscription, last: i64) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.last() != Some(&last) {
        let event = next(subscription).await;
        let id = |record: &Value| record["id"].as_i64();
        ids.push(id(&event.record).or(id(&event.old_record)).expect("an id"));
    }
    ids
}
