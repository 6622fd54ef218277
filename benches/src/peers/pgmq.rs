//! pgmq: its SQL functions, which its crate installs without the extension, called through plain `tokio-postgres`.

use std::future::pending;
use std::time::{Duration, Instant};

use ::pgmq::PGMQueueExt;
use futures::future::try_join_all;
use tokio_postgres::{Client, Statement};

use super::{begin, begins, until_done};
use crate::floor;
use crate::pick_up::Sample;
use crate::scene::connect;

/// How a reader hears of messages.
#[derive(Clone, Copy)]
pub enum Reader {
    /// `read_with_poll`, which looks every 100 ms unless it is told otherwise; one message at a time.
    Polls,
    /// `enable_notify_insert`, each time and not at most every 250 ms, and `read`; up to 50 messages at a time.
    IsNotified,
}

/// Its quickest end: `archive` writes a row more.
const DELETE: &str = "select pgmq.delete('noop', $1::bigint[])";

/// The functions and an empty queue.
async fn install(url: &str) -> anyhow::Result<Client> {
    PGMQueueExt::new(url.to_owned(), 1).await?.install_sql_from_embedded().await?;
    let client = connect(url).await?;
    client.batch_execute("select pgmq.create('noop')").await?;
    Ok(client)
}

pub(super) async fn pick_up(url: &str, reader: Reader, samples: usize) -> anyhow::Result<Vec<f64>> {
    let inserts = install(url).await?;
    let mut listening = match reader {
        Reader::Polls => None,
        Reader::IsNotified => {
            inserts.batch_execute("select pgmq.enable_notify_insert('noop', throttle_interval_ms => 0)").await?;
            Some(floor::listen(url, "pgmq.q_noop.INSERT").await?)
        }
    };
    let consumer = Consumer::new(url, reader).await?;
    let working = async {
        loop {
            if let Some((_, wakes)) = &mut listening {
                wakes.recv().await;
            }
            consumer.work().await?;
        }
    };
    let insert = inserts.prepare("select pgmq.send('noop', '{}')").await?;
    let mut begins = begins();
    let measured = async {
        let mut measured = Sample::new(samples);
        let mut number = 0;
        while measured.wanted().await {
            if let Reader::Polls = reader {
                // At any moment between two looks.
                number += 1;
                tokio::time::sleep(Duration::from_millis(number * 37 % 100)).await;
            }
            inserts.query_one(&insert, &[]).await?;
            let acknowledged = Instant::now();
            measured.took(acknowledged, begins.recv().await);
        }
        Ok(measured.figures())
    };
    tokio::select! {
        failed = working => failed,
        measured = measured => measured,
    }
}

pub(super) async fn drain(url: &str, reader: Reader, jobs: usize, connections: usize) -> anyhow::Result<f64> {
    let client = install(url).await?;
    let send = "select pgmq.send_batch('noop', array(select '{}'::jsonb from generate_series(1, $1::bigint)))";
    client.execute(send, &[&i64::try_from(jobs)?]).await?;
    let consumers = try_join_all((0..connections).map(|_| Consumer::new(url, reader))).await?;
    let (begins, since) = (begins(), Instant::now());
    let working = async {
        try_join_all(consumers.iter().map(Consumer::work)).await?;
        pending().await
    };
    tokio::select! {
        failed = working => failed,
        done = until_done(url, since, begins, jobs, "select count(*) from pgmq.q_noop") => done,
    }
}

/// One connection that reads.
struct Consumer {
    client: Client,
    read: Statement,
    delete: Statement,
    /// Messages at a time.
    most: i32,
}

impl Consumer {
    async fn new(url: &str, reader: Reader) -> anyhow::Result<Self> {
        let (read, most) = match reader {
            Reader::Polls => ("select msg_id from pgmq.read_with_poll('noop', 30, $1)", 1),
            Reader::IsNotified => ("select msg_id from pgmq.read('noop', 30, $1)", 50),
        };
        let client = connect(url).await?;
        let (read, delete) = (client.prepare(read).await?, client.prepare(DELETE).await?);
        Ok(Self { client, read, delete, most })
    }

    /// Works on messages until there are fewer than it asked for.
    async fn work(&self) -> anyhow::Result<()> {
        loop {
            let rows = self.client.query(&self.read, &[&self.most]).await?;
            let messages: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            messages.iter().for_each(|_| begin());
            if !messages.is_empty() {
                self.client.query(&self.delete, &[&messages]).await?;
            }
            if messages.len() < self.most as usize {
                return Ok(());
            }
        }
    }
}
