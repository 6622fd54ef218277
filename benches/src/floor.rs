//! The bare floor: what PostgreSQL and plain `tokio-postgres` cost when nothing is promised. A trigger that sends NOTIFY, one claiming UPDATE, one completing UPDATE.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::pick_up::Sample;
use crate::scene::{Scene, connect};

const SCHEMA: &str = "
    create table jobs (id bigint primary key generated always as identity, state text not null default 'waiting');
    create index jobs_waiting on jobs (id) where state = 'waiting';
    create function announce() returns trigger language plpgsql as $$ begin perform pg_notify('jobs', ''); return null; end $$;
    create trigger announce after insert on jobs for each statement execute function announce();";

const CLAIM: &str = "update jobs set state = 'running' where id in (
    select id from jobs where state = 'waiting' order by id limit $1 for update skip locked) returning id";

const COMPLETE: &str = "update jobs set state = 'done' where id = any ($1)";

/// A new database with the floor's one table.
async fn database(scene: &Scene) -> anyhow::Result<String> {
    let url = scene.database("floor").await?;
    connect(&url).await?.batch_execute(SCHEMA).await?;
    Ok(url)
}

/// Hears notifications on `channel`, through a connection of its own that lives as long as the client.
pub async fn listen(url: &str, channel: &str) -> anyhow::Result<(Client, mpsc::Receiver<()>)> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
    let (heard, wakes) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if matches!(message, AsyncMessage::Notification(_)) && heard.send(()).await.is_err() {
                return;
            }
        }
    });
    client.batch_execute(&format!("listen \"{channel}\"")).await?;
    Ok((client, wakes))
}

/// One round of picking up single jobs.
pub async fn pick_up(scene: &Scene, samples: usize) -> anyhow::Result<Vec<f64>> {
    let url = database(scene).await?;
    let (_listening, mut wakes) = listen(&url, "jobs").await?;
    let (claims, inserts) = (connect(&url).await?, connect(&url).await?);
    let (claim, complete) = (claims.prepare(CLAIM).await?, claims.prepare(COMPLETE).await?);
    let insert = inserts.prepare("insert into jobs default values").await?;
    let (started, mut starts) = mpsc::channel(1);
    let working = tokio::spawn(async move {
        while wakes.recv().await.is_some() {
            let rows = claims.query(&claim, &[&50_i64]).await?;
            let now = Instant::now();
            let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            claims.execute(&complete, &[&ids]).await?;
            if started.send(now).await.is_err() {
                break;
            }
        }
        anyhow::Ok(())
    });
    let mut measured = Sample::new(samples);
    while measured.wanted().await {
        inserts.execute(&insert, &[]).await?;
        let acknowledged = Instant::now();
        measured.took(acknowledged, starts.recv().await);
    }
    working.abort();
    Ok(measured.figures())
}

/// Jobs a second, in claims and completions of `batch` over `connections`.
pub async fn drain(scene: &Scene, jobs: usize, batch: i64, connections: usize) -> anyhow::Result<f64> {
    let url = database(scene).await?;
    let insert = "insert into jobs (state) select 'waiting' from generate_series(1, $1::bigint)";
    connect(&url).await?.execute(insert, &[&i64::try_from(jobs)?]).await?;
    let clients = try_join_all((0..connections).map(|_| connect(&url))).await?;
    let since = Instant::now();
    try_join_all(clients.iter().map(|client| work(client, batch))).await?;
    Ok(jobs as f64 / since.elapsed().max(Duration::from_micros(1)).as_secs_f64())
}

async fn work(client: &Client, batch: i64) -> anyhow::Result<()> {
    let (claim, complete) = (client.prepare(CLAIM).await?, client.prepare(COMPLETE).await?);
    loop {
        let rows = client.query(&claim, &[&batch]).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        client.execute(&complete, &[&ids]).await?;
    }
}
