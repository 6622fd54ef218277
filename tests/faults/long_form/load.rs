//! What people do in the long form: insert jobs of every shape, cancel, delete and retry them, at random.

use std::collections::HashSet;

use carousel_local::openai::Fault;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::deployment::Person;
use crate::invariants::Books;
use crate::scene::{HUSH, Scene};

/// Jobs that are not over, at most: more would only wait.
const BACKLOG: i64 = 40;

pub struct Load<'a> {
    scene: &'a Scene,
    people: Vec<(Person<'a>, Vec<String>)>,
    /// A connection that acts as the person with this index, as PostgREST does for them.
    session: Option<(usize, Client)>,
    /// Jobs that were cancelled or deleted while their calls may have been in flight.
    pub unwanted: HashSet<Uuid>,
    /// What a client was told that it must never be told.
    pub refused: Vec<String>,
    inserted: u64,
    cancelled: u64,
    deleted: u64,
    retried: u64,
}

impl<'a> Load<'a> {
    pub async fn new(scene: &'a Scene) -> Self {
        // Each of these people asks for more than one may have in a day.
        scene.rows("delete from carousel_private.limits", &[]).await;
        let mut people = Vec::new();
        for _ in 0..4 {
            let person = scene.deployment.person().await;
            let sources = vec![person.photo().await, person.photo().await, person.photo().await];
            people.push((person, sources));
        }
        Self {
            scene,
            people,
            session: None,
            unwanted: HashSet::new(),
            refused: Vec::new(),
            inserted: 0,
            cancelled: 0,
            deleted: 0,
            retried: 0,
        }
    }

    pub async fn unfinished(&self) -> i64 {
        self.scene.count("select count(*) from public.image_generation_jobs where finished_at is null", &[]).await
    }

    /// Does one thing, or nothing.
    pub async fn act(&mut self, random: &mut StdRng) {
        let who = random.random_range(0..self.people.len());
        match random.random_range(0..100) {
            0..60 => self.insert(who, random).await,
            60..66 => {
                let cancel = "update public.image_generation_jobs set cancel_requested_at = now()";
                self.cancelled += u64::from(self.wish(who, cancel, "processing", random).await);
            }
            66..70 => {
                let statuses = ["processing", "completed", "pending"];
                let status = statuses[random.random_range(0..statuses.len())];
                let delete = "delete from public.image_generation_jobs";
                self.deleted += u64::from(self.wish(who, delete, status, random).await);
            }
            70..76 => {
                let statuses = ["partial", "failed", "cancelled"];
                let status = statuses[random.random_range(0..statuses.len())];
                let retry = "update public.image_generation_jobs set retry_requested_at = now()";
                self.retried += u64::from(self.wish(who, retry, status, random).await);
            }
            _ => {}
        }
    }

    async fn insert(&mut self, who: usize, random: &mut StdRng) {
        let people: Vec<Uuid> = self.people.iter().map(|(person, _)| person.id).collect();
        let waiting =
            "select count(*) from public.image_generation_jobs where user_id = any ($1) and finished_at is null";
        if self.scene.count(waiting, &[&people]).await >= BACKLOG {
            return;
        }
        let sources = &self.people[who].1;
        let sources = sources[..random.random_range(1..=sources.len())].to_vec();
        let slides: Vec<_> = (0..random.random_range(0..3)).map(|slide| format!("{HUSH} {slide}")).collect();
        let ratios = [json!(["1:1"]), json!(["1:1"]), json!(["4:5"]), json!(["1:1", "9:16"])];
        let formats = ["png", "jpeg", "jpeg", "webp"];
        let format = formats[random.random_range(0..formats.len())];
        let previews = if random.random_ratio(1, 4) { random.random_range(1..=3) } else { 0 };
        let job = json!({
            "prompt": format!("{HUSH} {}", random.random::<u32>()),
            "slide_prompts": slides,
            "source_paths": sources,
            "aspect_ratios": ratios[random.random_range(0..ratios.len())],
            "variants": 1 + i32::from(random.random_ratio(1, 5)),
            "output_format": format,
            "partial_previews": previews,
            "priority": random.random_range(-5..5),
        });
        let delay = if random.random_ratio(1, 8) { random.random_range(0..3000) } else { 0 };
        let insert = format!(
            "insert into public.image_generation_jobs (prompt, slide_prompts, source_paths, aspect_ratios, variants, output_format,
                 partial_previews, priority, run_at)
             select prompt, slide_prompts, source_paths, aspect_ratios, variants, output_format, partial_previews, priority,
                 now() + interval '{delay} milliseconds'
             from json_populate_record(null::public.image_generation_jobs, $1)"
        );
        self.say(who, &insert, &[&job]).await;
        self.inserted += 1;
    }

    /// Runs `statement` for some job of this person that has this status.
    async fn wish(&mut self, who: usize, statement: &str, status: &str, random: &mut StdRng) -> bool {
        let (user, skip) = (self.people[who].0.id, random.random_range(0..4_i64));
        let some = "select id from public.image_generation_jobs where user_id = $1 and status = $2 order by id offset $3 limit 1";
        let found = self.scene.rows(some, &[&user, &status, &skip]).await;
        if let Some(row) = found.first() {
            let job = row.get::<_, Uuid>(0);
            if !statement.contains("retry") {
                self.unwanted.insert(job);
            }
            self.say(who, &format!("{statement} where id = $1"), &[&job]).await;
            return true;
        }
        false
    }

    /// Says something as this person; when the database is away, it was not said. A refusal is kept.
    async fn say(&mut self, who: usize, sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]) {
        if self.session.as_ref().is_none_or(|(whose, client)| *whose != who || client.is_closed()) {
            self.session = None;
            self.session = Some((who, self.scene.deployment.project.signed_in(self.people[who].0.id).await));
        }
        if let Some((_, client)) = &self.session
            && let Err(error) = client.execute(sql, values).await
        {
            match error.as_db_error() {
                Some(refusal) if !refusal.code().code().starts_with("57") => {
                    let begin: String = sql.chars().take(60).collect();
                    self.refused.push(format!("{begin}: {refusal:?}"));
                }
                _ => self.session = None,
            }
        }
    }

    /// Ends the pauses, as an operator does who has mended what two jobs in a row have met.
    pub async fn mend(&self) {
        self.scene
            .rows("update carousel_private.provider_budget set paused_until = null where paused_until > now()", &[])
            .await;
    }

    pub async fn line(&self) -> String {
        let counts =
            "select status || ' ' || count(*) from public.image_generation_jobs group by status order by status";
        let counts: Vec<String> = self.scene.rows(counts, &[]).await.iter().map(|row| row.get(0)).collect();
        format!("jobs: {}", counts.join(", "))
    }

    pub async fn table(&self, books: &Books) -> Vec<(&'static str, u64)> {
        let slowest =
            "select coalesce(max(extract(epoch from finished_at - greatest(created_at, run_at)) * 1000), 0)::bigint
                       from public.image_generation_jobs where retry_requested_at is null";
        let slowest = self.scene.count(slowest, &[]).await;
        let people: Vec<Uuid> = self.people.iter().map(|(person, _)| person.id).collect();
        let picked_up = "select coalesce(percentile_cont($2) within group (order by
                extract(epoch from started_at - greatest(created_at, run_at)) * 1000), 0)::bigint
            from public.image_generation_jobs where user_id = any ($1) and retry_requested_at is null and started_at is not null";
        let median = self.scene.count(picked_up, &[&people, &0.5]).await;
        let late = self.scene.count(picked_up, &[&people, &0.95]).await;
        vec![
            ("from insert to start, median, ms", median.unsigned_abs()),
            ("from insert to start, 95 of 100, ms", late.unsigned_abs()),
            ("jobs inserted", self.inserted),
            ("jobs left at the end", books.jobs.unsigned_abs()),
            ("jobs cancelled while they ran", self.cancelled),
            ("jobs deleted", self.deleted),
            ("jobs retried", self.retried),
            ("longest from insert to end, ms", slowest.unsigned_abs()),
            ("images recorded", books.images.unsigned_abs()),
        ]
    }
}

/// One way for the provider to fail, at random.
pub fn provider_fault(random: &mut StdRng) -> Fault {
    use carousel_local::openai::{ApiError, RetryAfter};
    let limited = ApiError::rate_limit_exceeded("gpt-image-2", 5, 1, std::time::Duration::from_millis(300));
    match random.random_range(0..13) {
        0 => Fault::Refused(limited.retry_after(RetryAfter::Millis(300))),
        1 => Fault::Refused(ApiError::server_is_overloaded().retry_after(RetryAfter::Millis(200))),
        2 => Fault::RefusedLate(ApiError::server_error()),
        3 => Fault::Refused(ApiError::moderation_blocked()),
        4 => Fault::HtmlPage(502),
        5 => Fault::ResetEarly,
        6 => Fault::ResetLate,
        7 => Fault::ResetMidBody,
        8 => Fault::Truncated,
        9 => Fault::NotAnImage,
        10 => Fault::WrongSize,
        11 => Fault::NoData,
        _ => Fault::ErrorWith200(ApiError::server_error()),
    }
}
