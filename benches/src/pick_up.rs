//! From the acknowledged INSERT of a job to the first line of its work, with a worker that has nothing else to do.

use std::time::{Duration, Instant};

use crate::deployed::InProcess;
use crate::floor;
use crate::marks::Marks;
use crate::report::{Report, percentile};
use crate::scene::Scene;

/// Not counted: connections are made and statements prepared.
const WARM_UP: usize = 20;

/// Milliseconds of many jobs, one after the other.
pub struct Sample {
    figures: Vec<f64>,
    left: usize,
}

impl Sample {
    pub fn new(samples: usize) -> Self {
        Self { figures: Vec::with_capacity(samples + WARM_UP), left: samples + WARM_UP }
    }

    /// Lets the worker come to rest; says whether another job is wanted.
    pub async fn wanted(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        tokio::time::sleep(Duration::from_millis(5 + self.left as u64 % 7)).await;
        true
    }

    /// A job was inserted at `acknowledged`, and its work began at `began`.
    pub fn took(&mut self, acknowledged: Instant, began: Option<Instant>) {
        // The work may begin before the inserting client has read its acknowledgement.
        let began = began.expect("the worker works").saturating_duration_since(acknowledged);
        self.figures.push(began.as_secs_f64() * 1000.0);
    }

    pub fn figures(mut self) -> Vec<f64> {
        self.figures.split_off(WARM_UP)
    }
}

/// Measures all contenders, in turn, for so many rounds.
pub async fn run(rounds: usize, samples: usize) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut marks = Marks::install()?;
    let mut report = Report::new("pick-up", &["p50 ms", "p95 ms", "p99 ms", "p99 / p50"]);
    let mut add = |name: &str, figures: Vec<f64>| {
        let part = |part| percentile(&figures, part);
        report.add(name, &[part(0.5), part(0.95), part(0.99), part(0.99) / part(0.5)]);
    };
    for _ in 0..rounds {
        add("bare floor", floor::pick_up(&scene, samples).await?);
        add("carousel", ours(&scene, &mut marks, samples).await?);
        #[cfg(feature = "peers")]
        for peer in crate::peers::ALL {
            let (name, figures) = peer.pick_up(&scene, samples).await?;
            add(&name, figures);
        }
    }
    report.finish(&scene.version().await?)
}

/// One round of the real worker: its listener, its loop, its claim. The work begins with the line that says that the job is claimed; then the source is
/// found missing, which ends the job.
async fn ours(scene: &Scene, marks: &mut Marks, samples: usize) -> anyhow::Result<Vec<f64>> {
    let project = scene.project("pick_up").await?;
    let user = project.users(1).await?[0];
    let worker = InProcess::without_hands(&project).await?;
    let insert = project
        .admin
        .prepare("insert into public.image_generation_jobs (user_id, prompt, source_paths) values ($1, 'a cup', array[$1::uuid || '/sources/a.png'])")
        .await?;
    let mut measured = Sample::new(samples);
    while measured.wanted().await {
        project.admin.execute(&insert, &[&user]).await?;
        let acknowledged = Instant::now();
        measured.took(acknowledged, marks.next("job claimed").await.ok());
        marks.next("job left").await?;
    }
    worker.stop().await;
    Ok(measured.figures())
}
