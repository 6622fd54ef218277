//! Two whom nobody likes to share a worker with: one who wants everything, and one who wants to break something.

use std::collections::HashSet;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::task::JoinHandle;
use tokio::time::Duration;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::deployment::Person;
use crate::scene::{HUSH, Scene};

/// Jobs of the greedy one that wait, at most: a day's are not to be made here.
const GREED: i64 = 150;

pub struct Crowd<'a> {
    scene: &'a Scene,
    greedy: Person<'a>,
    hostile: Person<'a>,
    greedy_source: String,
    hostile_source: String,
    /// A transaction of the hostile one's that holds rows, until it ends by itself.
    holding: Option<JoinHandle<()>>,
    /// Jobs that were cancelled or deleted while their calls may have been in flight.
    pub unwanted: HashSet<Uuid>,
    /// What a client was told that it must never be told, or allowed what it must not be.
    pub wrong: Vec<String>,
    hoarded: u64,
    attacks: u64,
}

impl<'a> Crowd<'a> {
    pub async fn new(scene: &'a Scene) -> Self {
        let (greedy, hostile) = (scene.deployment.person().await, scene.deployment.person().await);
        let (greedy_source, hostile_source) = (greedy.photo().await, hostile.photo().await);
        let (unwanted, wrong) = (HashSet::new(), Vec::new());
        Self {
            scene,
            greedy,
            hostile,
            greedy_source,
            hostile_source,
            holding: None,
            unwanted,
            wrong,
            hoarded: 0,
            attacks: 0,
        }
    }

    /// Does one thing, or nothing.
    pub async fn act(&mut self, random: &mut StdRng) {
        match random.random_range(0..100) {
            0..6 => self.hoard(random).await,
            6..40 => self.attack(random).await,
            _ => {}
        }
    }

    /// Long jobs of every priority, many of them due together.
    async fn hoard(&mut self, random: &mut StdRng) {
        let waiting = "select count(*) from public.image_generation_jobs where user_id = $1 and status = 'pending'";
        if self.scene.count(waiting, &[&self.greedy.id]).await > GREED {
            return;
        }
        let (priority, slides) = (random.random_range(-100..=100), random.random_range(1..=8));
        let soon = random.random_range(0..2) * 2;
        let insert = format!(
            "insert into public.image_generation_jobs (prompt, source_paths, slide_prompts, priority, run_at)
             select '{HUSH} all mine', array['{}'], array_fill('mine'::text, array[{slides}]), {priority}, now() + interval '{soon} seconds'
             from generate_series(1, 30)",
            self.greedy_source
        );
        self.say(self.greedy.id, &insert, &[], None).await;
        self.hoarded += 30;
    }

    async fn attack(&mut self, random: &mut StdRng) {
        self.attacks += 1;
        let user = self.hostile.id;
        let own = "select id from public.image_generation_jobs where user_id = $1 order by created_at desc limit 1";
        let own = self.scene.rows(own, &[&user]).await.first().map(|row| row.get::<_, Uuid>(0));
        let insert = format!(
            "insert into public.image_generation_jobs (prompt, source_paths, variants) values ('{HUSH} boom', array['{}'], 2)",
            self.hostile_source
        );
        let Some(own) = own.filter(|_| random.random_ratio(4, 5)) else {
            return self.say(user, &insert, &[], None).await;
        };
        let of_own = |set: &str| format!("update public.image_generation_jobs set {set} where id = '{own}'");
        match random.random_range(0..9) {
            // As a slow filter does it: rows are held for as long as a request may take.
            0 if self.holding.as_ref().is_none_or(JoinHandle::is_finished) => {
                let client = self.scene.deployment.project.signed_in(user).await;
                let hold = format!("begin; {}", of_own("title = 'held'"));
                if client.batch_execute(&hold).await.is_ok() {
                    let pause = Duration::from_millis(random.random_range(500..8_000));
                    self.holding = Some(tokio::spawn(async move {
                        tokio::time::sleep(pause).await;
                        drop(client);
                    }));
                }
            }
            0 => {}
            1 => {
                self.unwanted.insert(own);
                self.say(user, &format!("delete from public.image_generation_jobs where id = '{own}'"), &[], None)
                    .await;
            }
            2 | 3 => {
                self.unwanted.insert(own);
                self.say(user, &of_own("cancel_requested_at = now()"), &[], None).await;
            }
            4 | 5 => self.say(user, &of_own("retry_requested_at = now()"), &[], None).await,
            6 => self.say(user, &of_own("status = 'completed', cost_usd = 0"), &[], Some("42501")).await,
            7 => {
                let forged = insert
                    .replace("(prompt,", "(user_id, prompt,")
                    .replace("values (", &format!("values ('{}', ", self.greedy.id));
                self.say(user, &forged, &[], Some("42501")).await;
            }
            _ => {
                let foreign = insert.replace(&self.hostile_source, &self.greedy_source);
                self.say(user, &foreign, &[], Some("42501")).await;
            }
        }
    }

    /// Says something as this person. With `refusal`, it must be refused with that code; else with none but a full or absent database's.
    async fn say(&mut self, who: Uuid, sql: &str, values: &[&(dyn ToSql + Sync)], refusal: Option<&str>) {
        let client = self.scene.deployment.project.signed_in(who).await;
        // Nobody waits for what the other hand holds.
        let said = client.batch_execute("set lock_timeout = '50ms'").await;
        let said = match said {
            Ok(()) => client.execute(sql, values).await,
            Err(error) => Err(error),
        };
        let begin: String = sql.chars().take(90).collect();
        match (said, refusal) {
            (Ok(rows), Some(code)) if rows > 0 => self.wrong.push(format!("{begin}: {code} was due, and it was done")),
            (Ok(_), _) => {}
            (Err(error), refusal) => match error.as_db_error().map(|error| error.code().code().to_owned()) {
                Some(code) if refusal == Some(code.as_str()) || code == "55P03" || code.starts_with("57") => {}
                Some(_) => self.wrong.push(format!("{begin}: {error:?}")),
                None => {}
            },
        }
    }

    /// Goes away, and wants nothing any more.
    pub async fn leave(&mut self) {
        if let Some(holding) = self.holding.take() {
            holding.abort();
        }
        let both = [self.greedy.id, self.hostile.id];
        let left = "update public.image_generation_jobs set cancel_requested_at = now()
            where user_id = any ($1) and finished_at is null returning id";
        let left = self.scene.rows(left, &[&both.as_slice()]).await;
        self.unwanted.extend(left.iter().map(|row| row.get::<_, Uuid>(0)));
    }

    pub fn table(&self) -> [(&'static str, u64); 2] {
        [("jobs of the greedy one", self.hoarded), ("acts of the hostile one", self.attacks)]
    }
}
