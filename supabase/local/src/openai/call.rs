//! What each call contained, and what is under way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use tokio::sync::watch;

/// A call whose body was read, refused or not.
#[derive(Clone, Debug)]
pub struct Call {
    /// The `x-request-id` of its answer.
    pub request_id: String,
    /// Its headers, without the key.
    pub headers: HeaderMap,
    /// Its text fields by name: `prompt`, `size`, `n`, `quality`, and so on.
    pub fields: BTreeMap<String, String>,
    /// Its pictures, in order.
    pub images: Vec<ReceivedImage>,
}

/// A picture as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedImage {
    /// `image` or `image[]`.
    pub field: String,
    /// `filename` of the part.
    pub file_name: String,
    /// `Content-Type` of the part.
    pub content_type: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the bytes, in lowercase hexadecimal.
    pub sha256: String,
}

impl Call {
    /// The text field `name`, empty when it was not sent.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The prompt.
    #[must_use]
    pub fn prompt(&self) -> &str {
        self.field("prompt")
    }
}

/// The calls so far.
pub(super) struct Log {
    kept: Mutex<Kept>,
    /// Number of calls, for those who wait for the next.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Kept {
    calls: Vec<Call>,
    billed: u64,
    in_flight: usize,
    most_in_flight: usize,
}

impl Log {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), count: watch::Sender::new(0) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a call down. It counts as under way until the returned guard goes.
    pub(super) fn enter(self: &Arc<Self>, call: Call) -> InFlight {
        let number = {
            let mut kept = self.kept();
            kept.calls.push(call);
            kept.in_flight += 1;
            kept.most_in_flight = kept.most_in_flight.max(kept.in_flight);
            kept.calls.len()
        };
        self.count.send_replace(number);
        InFlight { log: self.clone(), number }
    }

    /// Charges `images` generations.
    pub(super) fn bill(&self, images: u32) {
        self.kept().billed += u64::from(images);
    }

    pub(super) fn billed(&self) -> u64 {
        self.kept().billed
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.kept().calls.clone()
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.kept().most_in_flight
    }

    /// Returns when `count` calls were written down.
    pub(super) async fn reached(&self, count: usize) {
        // The sender lives as long as `self`, so waiting can't fail.
        let _ = self.count.subscribe().wait_for(|number| *number >= count).await;
    }
}

/// A call under way.
pub(super) struct InFlight {
    log: Arc<Log>,
    /// Which call of this stand-in, from 1: what varies between answers varies by it.
    pub(super) number: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.log.kept().in_flight -= 1;
    }
}
