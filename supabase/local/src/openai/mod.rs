//! OpenAI's image edits for one machine: `POST /v1/images/edits` and `GET /v1/models` as the real service answers them, faults included.
//!
//! The pictures it makes derive from the first source picture; see [`OpenAi::new`] for tests and [`Settings::lifelike`] for people.
//! A call is *billed* from the moment that its picture is begun, as the real service bills a call whose client has gone away.
//!
//! Not here: images by URL or file id, masks that change anything, GIF and SVG, moderation of prompts, every other endpoint.

mod answer;
mod body;
mod budget;
mod call;
mod edit;
mod error;
mod fault;
mod form;
mod gate;
mod generate;
mod hosted;
mod model;
mod picture;
mod serve;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use budget::Budget;
use call::Log;
use gate::Gate;
use hosted::Hosted;
use picture::Bases;

pub use call::{Call, ReceivedImage};
pub use error::{ApiError, RetryAfter};
pub use fault::{Fault, Faults};
pub use serve::router;

/// How the stand-in behaves when nothing goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How long the lowest quality takes.
    pub latency: Duration,
    /// How much longer each higher quality takes: `low`, `medium`, `high`, `xhigh`, `max`.
    pub latency_per_quality: Duration,
    /// Images per minute before calls are refused with 429. None: no limit. Each input picture of a call counts, as the
    /// service's own words about this limit (`input-images per min`) say.
    pub images_per_minute: Option<u32>,
    /// Bits of grain in every colour value, 0 to 7: what no format can compress away. With 3, a PNG of 1024x1024
    /// has 1.5 MB.
    pub grain: u8,
    /// Each call's picture differs a little from every other's, as the real service's does. Otherwise the same call gives the same picture.
    pub varied: bool,
}

impl Settings {
    /// As a person expects it: two to four seconds for a picture, and megabytes of it.
    #[must_use]
    pub fn lifelike() -> Self {
        let second = Duration::from_secs(1);
        Self { latency: 2 * second, latency_per_quality: second, images_per_minute: None, grain: 3, varied: true }
    }

    /// How long a picture of `quality` takes, for the `number`th call a little more or less than for others.
    fn latency(&self, quality: &str, number: usize) -> Duration {
        let steps = ["low", "medium", "high", "xhigh", "max"].iter().position(|known| *known == quality).unwrap_or(1);
        (self.latency + self.latency_per_quality * steps as u32).mul_f64(0.9 + 0.02 * (number * 7 % 11) as f64)
    }
}

/// The stand-in. A clone is the same service: what one sees, all see.
#[derive(Clone)]
pub struct OpenAi(Arc<Service>);

struct Service {
    api_key: String,
    settings: Settings,
    faults: Faults,
    log: Arc<Log>,
    gate: Gate,
    budget: Option<Budget>,
    bases: Bases,
    hosted: Hosted,
    /// Drawing takes a processor; more at once than there are processors would only take memory.
    drawing: Semaphore,
}

impl OpenAi {
    /// A service that takes `api_key`, answers at once and makes small files, as tests want it.
    #[must_use]
    pub fn new(api_key: impl Into<String>) -> Self {
        Self::with(api_key, Settings::default())
    }

    /// A service that takes `api_key` and behaves as `settings` say.
    #[must_use]
    pub fn with(api_key: impl Into<String>, settings: Settings) -> Self {
        Self(Arc::new(Service {
            api_key: api_key.into(),
            budget: settings.images_per_minute.map(Budget::new),
            settings,
            faults: Faults::default(),
            log: Log::new(),
            gate: Gate::new(),
            bases: Bases::default(),
            hosted: Hosted::default(),
            drawing: Semaphore::new(2),
        }))
    }

    /// What goes wrong next.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The edits that were asked for with the right key, refused ones included, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.0.log.calls()
    }

    /// Pictures that were begun, and so would be on the bill.
    #[must_use]
    pub fn billed(&self) -> u64 {
        self.0.log.billed()
    }

    /// The largest number of calls that were under way at once.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.0.log.most_in_flight()
    }

    /// Waits for the `count`th call and returns all so far. A call counts once its body was read.
    pub async fn reached(&self, count: usize) -> Vec<Call> {
        self.0.log.reached(count).await;
        self.calls()
    }

    /// Keeps calls under way: no picture is answered, no stream completed until [`OpenAi::release`].
    pub fn hold(&self) {
        self.0.gate.close();
    }

    /// Lets held calls and stalled bodies go on.
    pub fn release(&self) {
        self.0.gate.open();
    }
}
