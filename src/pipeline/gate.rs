//! Whether another image of a job may be begun, and what becomes of those that were not.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;

use super::Stop;
use crate::failure::{Failure, Reach};
use crate::telemetry::metrics;

pub(super) const ANOTHER_WORKER: &str = "Waiting for another worker";
const NEXT_TURN: &str = "Waiting for its next turn";

/// Says whether another image of a job may be begun.
pub(super) struct Gate {
    stop: Stop,
    /// Words for the job's owner, when provider or bucket is to be left alone for longer than a job should wait in a worker.
    paused: OnceLock<&'static str>,
    /// Code and words of what the images that were not begun fail with.
    spoiled: OnceLock<(String, String)>,
    /// Told of each image that is over.
    pub(super) progress: Notify,
}

/// Why images of a job were not begun.
pub(super) enum Unfinished<'a> {
    /// They are left to be made: the job is given back, with these words for its owner.
    Left(&'static str),
    /// They would fail as another one did.
    Spoiled {
        /// Stable code.
        code: &'a str,
        /// Words for the owner.
        message: &'a str,
    },
}

impl Gate {
    pub(super) fn new(stop: Stop) -> Self {
        let (paused, spoiled) = (OnceLock::new(), OnceLock::new());
        Self { stop, paused, spoiled, progress: Notify::new() }
    }

    /// Whether no other image may be begun.
    pub(super) fn is_closed(&self) -> bool {
        self.is_paused() || self.spoiled.get().is_some() || !self.stop.may_begin()
    }

    /// Whether provider or bucket is left alone.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.get().is_some()
    }

    /// Waits for this time, or until no other image may be begun.
    pub(super) async fn sleep(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.closing() => {}
        }
    }

    /// Waits for something of no use once no other image may be begun; gives nothing then.
    pub(super) async fn unless_closed<T>(&self, wait: impl Future<Output = Option<T>>) -> Option<T> {
        if self.is_closed() {
            return None;
        }
        tokio::select! {
            waited = wait => waited,
            () = self.stop.closing() => None,
        }
    }

    /// Lets no other image begin: the provider or the bucket, if it is known which, is to be left alone.
    pub(super) fn pause(&self, reach: Option<Reach>) {
        let words = match reach {
            Some(Reach::Provider) => "Waiting until the provider can be used again",
            Some(Reach::Bucket) => "Waiting until images can be stored again",
            _ => "Waiting until images can be made again",
        };
        self.paused.get_or_init(|| words);
    }

    /// Lets no other image begin: it would fail like this one.
    pub(super) fn spoil(&self, failure: &Failure) {
        self.spoiled.get_or_init(|| (failure.code().to_owned(), failure.message()));
    }

    /// What becomes of so many images that are left to be made, if there are any.
    pub(super) fn unfinished(&self, left: usize) -> Option<Unfinished<'_>> {
        if left == 0 {
            return None;
        }
        Some(match (self.paused.get(), self.spoiled.get()) {
            (Some(why), _) => Unfinished::Left(why),
            (None, Some((code, message))) => {
                (0..left).for_each(|_| metrics::image_failed(code));
                Unfinished::Spoiled { code, message }
            }
            (None, None) if self.stop.gives_way() => Unfinished::Left(NEXT_TURN),
            (None, None) => Unfinished::Left(ANOTHER_WORKER),
        })
    }
}
