//! The cost of one claim: by how many jobs wait, by how many users they are of, after a million finished jobs with their dead rows; and before the planner has heard
//! of the jobs. And how PostgreSQL runs each statement of a job, kept in `plans/`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use carousel::queue::LOOK_UP;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::queue_alone;
use crate::report::{Report, percentile};
use crate::scene::{Project, Scene};
use crate::unanalyzed;

/// Claims of one case and round.
const CLAIMS: usize = 40;
/// Jobs of one claim: the default of `CAROUSEL_JOBS`.
const SLOTS: usize = 8;
/// Jobs that run before updates and scans are counted.
const JOBS: usize = 2_000;

/// Rows as the triggers would have made them, a hundred times as fast.
pub const WITHOUT_TRIGGERS: &str = "set session_replication_role = replica; set synchronous_commit = off";

pub const FINISHED: &str = "
    with job as (
        insert into public.image_generation_jobs (user_id, prompt, slide_prompts, source_paths, slides_from, aspect_ratios, variants, style, total_images,
            status, stage, progress, completed_images, attempt, started_at, finished_at, created_at)
        select owner, 'a cup', '{}', array[owner || '/sources/a.png'], 'prompts', '{1:1}', 1, '{}', 1,
            'completed', 'finished', 100, 1, 1, now(), now(), now() - number * interval '1 second'
        from (select ($1::uuid[])[1 + number % cardinality($1)] as owner, number from generate_series(1, $2::bigint) as number) as new
        returning id, user_id
    ), image as (
        insert into public.generated_carousel_images (job_id, user_id, carousel_id, variant, slide, aspect_ratio, status, storage_path, width, height,
            bytes, mime_type, sha256, completed_at)
        select id, user_id, id, 1, 1, '1:1', 'completed', user_id || '/jobs/' || id || '/1-1-1x1.png', 1024, 1024, 3000000, 'image/png', 'digest', now()
        from job
        returning id, job_id, user_id
    )
    insert into carousel_private.provider_calls (job_id, image_id, user_id, worker_id, attempt, model, finished_at, outcome)
    select job_id, id, user_id, job_id, 1, 'gpt-image-2', now(), 'completed' from image";

/// Turns as `assign_turn` gives them: a user's jobs stand one behind the other.
pub const WAITING: &str = "
    with job as (
        insert into public.image_generation_jobs (user_id, prompt, slide_prompts, source_paths, slides_from, aspect_ratios, variants, style, total_images)
        select owner, 'a cup', '{}', array[owner || '/sources/a.png'], 'prompts', '{1:1}', 1, '{}', 1
        from (select ($1::uuid[])[1 + number % cardinality($1)] as owner from generate_series(1, $2::bigint) as number) as new
        returning id, user_id
    )
    insert into carousel_private.queue (job_id, user_id, priority, run_at, images, turn)
    select id, user_id, 0, now(), 1, row_number() over (partition by user_id) from job";

/// Measures each case in each round.
pub async fn run(rounds: usize, most: usize) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let project = scene.project("claims").await?;
    let seed = project.connect(&scene).await?;
    seed.batch_execute(WITHOUT_TRIGGERS).await?;
    let users = project.users(10_000).await?;
    eprintln!("{most} finished jobs");
    for _ in 0..10 {
        seed.execute(FINISHED, &[&users, &i64::try_from(most / 10)?]).await?;
    }
    let mut report = Report::new("claims", &["claim of 8 p50 ms", "p95 ms", "claim of 1 p50 ms", "buffers"]);
    for width in [1, 100, 10_000] {
        for depth in [100, 10_000, most] {
            seed.execute(WAITING, &[&&users[..width], &i64::try_from(depth)?]).await?;
            // The claims of the rounds may not empty a short queue: what they took comes back.
            for _ in 0..rounds {
                let (eight, one) = (claim(&project, SLOTS, depth).await?, claim(&project, 1, depth).await?);
                let buffers = buffers(&project).await?;
                let name = format!("{depth} waiting, {width} {}", if width == 1 { "user" } else { "users" });
                report.add(&name, &[percentile(&eight, 0.5), percentile(&eight, 0.95), percentile(&one, 0.5), buffers]);
            }
            if depth == most && width == 10_000 {
                plans(&project).await?;
            }
            clear(&seed).await?;
        }
    }
    let version = scene.version().await?;
    report.finish(&version)?;
    updates(&project, &users).await?.finish(&version)?;
    unanalyzed::run(rounds, &scene).await?.finish(&version)
}

/// Milliseconds of some claims.
async fn claim(project: &Project, slots: usize, depth: usize) -> anyhow::Result<Vec<f64>> {
    let queue = project.queue(1)?;
    let mut figures = Vec::new();
    for _ in 0..CLAIMS.min(depth / 4 / slots).max(3) {
        let since = Instant::now();
        let leases = queue.claim_jobs(Uuid::nil(), slots, Duration::from_secs(3600)).await?;
        figures.push(since.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(leases.len() == slots, "{} of {slots} jobs were claimed", leases.len());
        for lease in leases {
            lease.release_job(Duration::ZERO, "again").await?;
        }
    }
    Ok(figures)
}

/// Pages that the claim of eight jobs touches.
async fn buffers(project: &Project) -> anyhow::Result<f64> {
    let sql = format!(
        "explain (analyze, buffers, format json) {}",
        literal(include_str!("../../sql/claim_jobs.sql"), &CLAIM)
    );
    let client = &project.admin;
    client.batch_execute(&format!("begin; {LOOK_UP}")).await?;
    let plan: serde_json::Value = client.query_one(&sql, &[]).await?.get(0);
    client.batch_execute("rollback").await?;
    let pages = |kind: &str| plan[0]["Plan"][kind].as_f64().unwrap_or(0.0);
    Ok(pages("Shared Hit Blocks") + pages("Shared Read Blocks"))
}

const CLAIM: [&str; 3] = ["'00000000-0000-0000-0000-000000000000'::uuid", "30", "8"];

/// A statement with values in place of its parameters, as `explain` wants it.
fn literal(sql: &str, values: &[&str]) -> String {
    let mut text = sql.to_owned();
    for (number, value) in values.iter().enumerate().rev() {
        text = text.replace(&format!("${}", number + 1), value);
    }
    text
}

async fn clear(seed: &Client) -> anyhow::Result<()> {
    let statements = "truncate carousel_private.queue; truncate carousel_private.leases;
        delete from public.generated_carousel_images where job_id in (select id from public.image_generation_jobs where finished_at is null);
        delete from public.image_generation_jobs where finished_at is null";
    Ok(seed.batch_execute(statements).await?)
}

/// Writes how PostgreSQL runs the statements of a job, with a million jobs waiting and a million finished.
async fn plans(project: &Project) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    std::fs::create_dir_all(&folder)?;
    let client = &project.admin;
    client.batch_execute(&format!("analyze; begin; {LOOK_UP}")).await?;
    explain(client, &folder, "claim_jobs", include_str!("../../sql/claim_jobs.sql"), &CLAIM).await?;
    let some = "select job_id::text, token::text from carousel_private.leases limit 1";
    let row = client.query_one(some, &[]).await.context("something was claimed")?;
    let array = |value: &str, kind: &str| format!("array[{value}]::{kind}[]");
    let (job, token) = (array(&format!("'{}'", row.get::<_, &str>(0)), "uuid"), row.get::<_, String>(1));
    let tokens = array(&token, "bigint");
    explain(client, &folder, "start_job", include_str!("../../sql/start_job.sql"), &[&job, &tokens]).await?;
    explain(client, &folder, "report_progress", include_str!("../../sql/report_progress.sql"), &[&job, &tokens])
        .await?;
    let some =
        "select id::text from public.generated_carousel_images where status = 'pending' and job_id = $1::text::uuid";
    let image: String = client.query_one(some, &[&row.get::<_, &str>(0)]).await?.get(0);
    let image = array(&format!("'{image}'"), "uuid");
    let text = |value: &str| array(&format!("'{value}'"), "text");
    let (name, previews) = (text("1-1-1x1-0123456789abcdef.png"), array("0", "integer"));
    let [model, quality, prompt] = ["gpt-image-2", "medium", "a cup"].map(text);
    let values = [&job, &tokens, &image, &model, &quality, &prompt, &array("2", "integer"), &name, &previews];
    explain(client, &folder, "begin_call", include_str!("../../sql/begin_call.sql"), &values.map(String::as_str))
        .await?;
    let call: String = client.query_one("select max(id)::text from carousel_private.provider_calls", &[]).await?.get(0);
    let path = "array(select user_id || '/jobs/' || job_id || '/a.png' from carousel_private.leases where token = $2)"
        .replace("$2", &token);
    let values = [
        job.clone(),
        tokens.clone(),
        image,
        array(&call, "bigint"),
        path,
        text("hash"),
        array("1024", "integer"),
        array("1024", "integer"),
        array("3000000", "bigint"),
        text("image/png"),
        text("digest"),
        array("'{}'", "jsonb"),
        array("53000", "bigint"),
        array("12", "integer"),
        text("req_1"),
    ];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    explain(client, &folder, "record_image", include_str!("../../sql/record_image.sql"), &values).await?;
    explain(
        client,
        &folder,
        "renew_leases",
        include_str!("../../sql/renew_leases.sql"),
        &[&format!("array[{token}]::bigint[]"), "30"],
    )
    .await?;
    let values = [CLAIM[0], "'bench'", "'1'", "8", "0", "'running'", "'{}'::bigint[]"];
    explain(client, &folder, "heartbeat", include_str!("../../sql/heartbeat.sql"), &values).await?;
    explain(client, &folder, "measure_queue", include_str!("../../sql/measure_queue.sql"), &[]).await?;
    explain(
        client,
        &folder,
        "rescue_jobs",
        include_str!("../../sql/rescue_jobs.sql"),
        &["'{}'::bigint[]", "false", "100"],
    )
    .await?;
    explain(client, &folder, "promote_jobs", include_str!("../../sql/promote_jobs.sql"), &[]).await?;
    explain(client, &folder, "take_cleanup", include_str!("../../sql/take_cleanup.sql"), &["100", "60"]).await?;
    explain(
        client,
        &folder,
        "finish_job",
        include_str!("../../sql/finish_job.sql"),
        &[&job, &tokens, "array[false]", "array[null]::text[]", "array[null]::text[]"],
    )
    .await?;
    client.batch_execute("rollback").await?;
    Ok(())
}

async fn explain(client: &Client, folder: &Path, name: &str, sql: &str, values: &[&str]) -> anyhow::Result<()> {
    let sql = format!("explain (analyze, buffers, costs off) {}", literal(sql, values));
    let mut text = String::new();
    for row in client.query(&sql, &[]).await.with_context(|| format!("{name} can't be explained"))? {
        let line: &str = row.get(0);
        writeln!(text, "{line}")?;
    }
    for table in ["image_generation_jobs", "generated_carousel_images", "queue", "provider_calls", "storage_cleanup"] {
        if text.contains(&format!("Seq Scan on {table}")) {
            eprintln!("{name}: a sequential scan of {table}");
        }
    }
    Ok(std::fs::write(folder.join(format!("{name}.txt")), text)?)
}

/// Updates, how many of them touched no index, and sequential scans, by table, while jobs run.
async fn updates(project: &Project, users: &[Uuid]) -> anyhow::Result<Report> {
    project.jobs(&users[..100], JOBS).await?;
    let client = &project.admin;
    let before = counted(client).await?;
    queue_alone::drain(&project.queue(4)?, SLOTS).await?;
    // A backend tells what it has counted when it has been idle for a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut report = Report::new("updates", &["updates", "heap-only %", "sequential scans"]);
    for ((table, after), (_, before)) in counted(client).await?.iter().zip(&before) {
        let change: Vec<i64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        let hot = if change[0] == 0 { 100.0 } else { 100.0 * change[1] as f64 / change[0] as f64 };
        report.add(table, &[change[0] as f64, hot, change[2] as f64]);
    }
    Ok(report)
}

async fn counted(client: &Client) -> anyhow::Result<Vec<(String, [i64; 3])>> {
    let sql = "select relname::text, n_tup_upd, n_tup_hot_upd, seq_scan from pg_stat_user_tables
        where schemaname = 'carousel_private' and relname in ('queue', 'leases', 'provider_calls')
            or schemaname = 'public' and relname in ('image_generation_jobs', 'generated_carousel_images')
        order by relname";
    let rows = client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), [row.get(1), row.get(2), row.get(3)])).collect())
}
