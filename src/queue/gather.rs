//! Group commit: writes of many leases that come while a statement is under way go to the database together in the next one.
//!
//! A write that meets no other goes at once; nothing waits for company. A statement for many holds rows of many jobs, so it never waits
//! for a row that somebody else holds: it passes over it (`skip locked`). What got no row in it, for that or any other reason, is sent
//! alone by whoever wants it written: alone it waits, is sent again while the database is away, and fails for itself only.
//!
//! The statements begin with the arrays and look each row up from there (`cross join lateral`), and name once more as an array what an
//! update may touch: joined freely, a table that the planner takes for empty would be read as a whole for each write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connection::{Patience, SILENCE};
use super::{Error, MOST_ROWS, Queue};

/// Writes that one statement takes at most.
const MOST: usize = 64;

/// The values of a statement: an array for each of its parameters.
pub(super) type Columns = Vec<Box<dyn ToSql + Sync + Send>>;

/// A statement in its two forms. The file has the one for many writes, which passes over rows that somebody else holds; wherever `skip locked`
/// stands in it, the one for a single write waits instead.
pub(super) struct Pair(&'static str);

impl Pair {
    pub(super) const fn of(file: &'static str) -> Self {
        Self(file)
    }

    /// Passes over what is held.
    fn for_many(&self) -> &'static str {
        self.0
    }

    /// Waits for what is held.
    fn for_one(&self) -> String {
        self.0.replace(" skip locked", "")
    }
}

/// A write to one job that can go together with those to other jobs.
pub(super) trait Write: Send + Sync + Sized + 'static {
    /// Takes an array for each parameter and answers with a row for each write, `place` saying which: its number in the arrays, from 1.
    /// Its first parameters are the jobs and the tokens of their leases.
    const STATEMENT: Pair;

    /// How long it is sent again when it is sent alone.
    const PATIENCE: Patience = Patience::NEEDED;

    /// The lease that it is made under.
    fn under(&self) -> Under;

    /// Rows that it writes of what Realtime publishes, at most.
    fn rows(&self) -> i64 {
        1
    }

    /// The other arrays, in the order of the parameters.
    fn columns(_writes: &[Arc<Self>]) -> Columns {
        Vec::new()
    }
}

/// Names a lease.
#[derive(Clone, Copy)]
pub(super) struct Under {
    pub(super) job: Uuid,
    pub(super) token: i64,
}

/// All arrays of a statement.
fn parameters<W: Write>(writes: &[Arc<W>]) -> Columns {
    let mut parameters = vec![column(writes, |write| write.under().job), column(writes, |write| write.under().token)];
    parameters.extend(W::columns(writes));
    parameters
}

/// One value of each write, as a parameter.
pub(super) fn column<W, T>(writes: &[Arc<W>], value: impl Fn(&W) -> T) -> Box<dyn ToSql + Sync + Send>
where
    T: ToSql + Sync + Send + 'static,
{
    Box::new(writes.iter().map(|write| value(write)).collect::<Vec<T>>())
}

/// The writes of one kind that wait for a statement.
pub(super) struct Gather<W>(Arc<Mutex<State<W>>>);

struct State<W> {
    waiting: Vec<(Arc<W>, oneshot::Sender<Row>)>,
    under_way: bool,
}

impl<W> Default for Gather<W> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { waiting: Vec::new(), under_way: false })))
    }
}

impl<W: Write> Gather<W> {
    /// Writes, together with others if there are any. No row: the lease is lost.
    pub(super) async fn send(&self, queue: &Queue, write: W) -> Result<Option<Row>, Error> {
        let write = Arc::new(write);
        let (answer, answered) = oneshot::channel();
        if self.add(Arc::clone(&write), answer) {
            // Not in the caller's own future: that may be dropped, and others wait for the answer.
            tokio::spawn(flush(Arc::clone(&self.0), queue.clone()));
        }
        match answered.await {
            Ok(row) => Ok(Some(row)),
            Err(_) => Self::send_alone(queue, write).await,
        }
    }

    /// Writes by a statement of its own, waiting for rows that others hold. No row: the lease is lost.
    pub(super) async fn send_alone(queue: &Queue, write: impl Into<Arc<W>>) -> Result<Option<Row>, Error> {
        let columns = parameters(&[write.into()]);
        Ok(queue.again(W::PATIENCE, SILENCE, &W::STATEMENT.for_one(), &references(&columns)).await?.pop())
    }

    /// Says whether a statement is to be begun for it.
    fn add(&self, write: Arc<W>, answer: oneshot::Sender<Row>) -> bool {
        let mut state = lock(&self.0);
        state.waiting.push((write, answer));
        !std::mem::replace(&mut state.under_way, true)
    }
}

/// Sends what waits, until nothing does.
async fn flush<W: Write>(state: Arc<Mutex<State<W>>>, queue: Queue) {
    loop {
        // Whoever is about to write as well comes along: one answer from the database sets many jobs going.
        tokio::task::yield_now().await;
        let (writes, answers): (Vec<_>, Vec<_>) = {
            let mut state = lock(&state);
            if state.waiting.is_empty() {
                state.under_way = false;
                return;
            }
            let mut rows = 0;
            let few = state.waiting.iter().take(MOST).take_while(|(write, _)| {
                rows += write.rows();
                rows <= MOST_ROWS
            });
            // One that has more is sent by itself.
            let count = few.count().max(1);
            state.waiting.drain(..count).unzip()
        };
        let columns = parameters(&writes);
        match queue.once(W::STATEMENT.for_many(), &references(&columns)).await {
            Ok(rows) => answer(rows, answers),
            Err(error) => tracing::debug!(%error, writes = writes.len(), "writes are sent one by one"),
        }
    }
}

/// Gives each row to whom it is for. Those who get none hear that by their senders being gone.
fn answer(rows: Vec<Row>, answers: Vec<oneshot::Sender<Row>>) {
    let mut answers: Vec<_> = answers.into_iter().map(Some).collect();
    for row in rows {
        let place = row.try_get::<_, i64>("place").ok().and_then(|place| usize::try_from(place - 1).ok());
        if let Some(answer) = place.and_then(|place| answers.get_mut(place)).and_then(Option::take) {
            // It may be wanted no more.
            let _ = answer.send(row);
        }
    }
}

fn references(columns: &Columns) -> Vec<&(dyn ToSql + Sync)> {
    columns.iter().map(|column| &**column as &(dyn ToSql + Sync)).collect()
}

fn lock<W>(state: &Mutex<State<W>>) -> MutexGuard<'_, State<W>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
