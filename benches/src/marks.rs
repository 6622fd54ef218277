//! When the worker said what: its log lines are the marks of its steps, as the program has no hooks for benchmarks.

use std::time::Instant;

use anyhow::Context as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::field::{Field, Visit};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, registry};

/// The lines that are marks.
const MARKS: [&str; 3] = ["job claimed", "image recorded", "job left"];

/// Hears the marks of this process's worker.
pub struct Marks(UnboundedReceiver<(String, Instant)>);

impl Marks {
    /// Hears every log line of this process from now on.
    pub fn install() -> anyhow::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        registry().with(Ear(sender).with_filter(LevelFilter::INFO)).try_init()?;
        Ok(Self(receiver))
    }

    /// When the worker next said `mark`; other marks before it are passed over.
    pub async fn next(&mut self, mark: &str) -> anyhow::Result<Instant> {
        loop {
            let (said, at) = self.0.recv().await.context("the worker has ended")?;
            if said == mark {
                return Ok(at);
            }
        }
    }
}

struct Ear(UnboundedSender<(String, Instant)>);

impl<S: tracing::Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let now = Instant::now();
        let mut words = Words::default();
        event.record(&mut words);
        if MARKS.contains(&words.0.as_str()) {
            let _ = self.0.send((words.0, now));
        }
    }
}

#[derive(Default)]
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
