//! What a signed-in frontend does, in SQL, and how the database refuses it.

use std::fmt;

use tokio_postgres::{Client, Error};
use uuid::Uuid;

/// Why a statement was refused: what PostgREST hands to a client, and the constraint's name, which it hands on in the message.
#[derive(Debug)]
pub struct Refusal {
    pub code: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
    pub constraint: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = error.as_db_error().unwrap_or_else(|| panic!("not the database's refusal: {error:?}"));
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Self {
            code: refusal.code().code().to_owned(),
            message: refusal.message().to_owned(),
            detail: text(refusal.detail()),
            hint: text(refusal.hint()),
            constraint: text(refusal.constraint()),
        }
    }
}

/// SQLSTATE, then our own code where there is one, else the constraint: `23514 sources_missing`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours =
            !self.detail.is_empty() && self.detail.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        write!(f, "{} {}", self.code, if ours { &self.detail } else { &self.constraint })
    }
}

/// Inserts a job of `user` with these columns, as SQL; prompt and sources are filled in when they aren't among them.
pub async fn insert_job(client: &Client, user: Uuid, columns: &[(&str, &str)]) -> Result<Uuid, Refusal> {
    Ok(client.query_one(&insertion(user, columns, ""), &[]).await?.get(0))
}

/// The statement of [`insert_job`], with `more` between its values and what it returns.
pub fn insertion(user: Uuid, columns: &[(&str, &str)], more: &str) -> String {
    let own_source = format!("array['{user}/sources/a.png']");
    let mut all = vec![("prompt", "'a cup'"), ("source_paths", own_source.as_str())];
    all.retain(|(name, _)| columns.iter().all(|(given, _)| given != name));
    all.extend(columns);
    let (names, values): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let (names, values) = (names.join(", "), values.join(", ").replace("{user}", &user.to_string()));
    format!("insert into public.image_generation_jobs ({names}) values ({values}) {more} returning id")
}

/// Runs a statement and returns how many rows it touched.
pub async fn run(client: &Client, statement: &str) -> Result<u64, Refusal> {
    Ok(client.execute(statement, &[]).await?)
}

/// One value, as text.
pub async fn value(client: &Client, expression: &str) -> String {
    let row = client.query_one(&format!("select ({expression})::text"), &[]).await;
    let row = row.unwrap_or_else(|error| panic!("{expression}: {error:?}"));
    row.get::<_, Option<String>>(0).unwrap_or_else(|| "null".to_owned())
}

/// Returns once the session with this process id waits for a lock that somebody else holds.
pub async fn until_it_waits(observer: &Client, pid: i32) {
    let waits = "select coalesce(cardinality(pg_blocking_pids($1)), 0) > 0";
    while !observer.query_one(waits, &[&pid]).await.expect("sessions can be seen").get::<_, bool>(0) {
        tokio::task::yield_now().await;
    }
}

/// Process id of the session that serves this connection.
pub async fn pid(client: &Client) -> i32 {
    client.query_one("select pg_backend_pid()", &[]).await.expect("it can be asked").get(0)
}
