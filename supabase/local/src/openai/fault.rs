//! What a test can make go wrong, and for which calls.

use std::sync::{Mutex, PoisonError};

use super::error::ApiError;

/// One way for a call to fail, or to be answered oddly.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Refused at once; nothing is billed.
    Refused(ApiError),
    /// Refused after the pictures were made and billed.
    RefusedLate(ApiError),
    /// An error page of something in front of the service, with this status. Not billed.
    HtmlPage(u16),
    /// Status 200 with an error body. Not billed.
    ErrorWith200(ApiError),
    /// The connection closes before any answer. Not billed.
    ResetEarly,
    /// The connection closes before any answer, though the pictures were made and billed.
    ResetLate,
    /// The connection closes in the middle of the answer's body. Billed, like all that follow.
    ResetMidBody,
    /// The body ends in the middle, cleanly.
    Truncated,
    /// The body stops in the middle until [`super::OpenAi::release`].
    Stalled,
    /// The body comes a byte at a time.
    Dripping,
    /// The body goes on for ever after its first half.
    Endless,
    /// `b64_json` holds no picture.
    NotAnImage,
    /// `b64_json` is not base64.
    NotBase64,
    /// `data` is empty.
    NoData,
    /// The picture is 16 pixels wider than asked for.
    WrongSize,
    /// The picture is in another format than asked for.
    WrongFormat,
    /// `url` instead of `b64_json`, as compatible servers answer.
    Url,
    /// A data address in `b64_json`, as some compatible servers answer.
    DataAddress,
    /// A data address in `url`.
    DataUrl,
    /// An answer that says that it is compressed, as proxies do that were asked not to.
    Compressed,
    /// Sent on to another address, whatever is asked for. Not billed.
    Redirect,
    /// No `usage`.
    NoUsage,
    /// A stream ends with `event: error` after its first partial picture. An answer that is no stream fails with 500.
    ErrorMidStream(ApiError),
    /// A stream ends without its completion. An answer that is no stream has no `data`.
    NoCompletion,
    /// A stream completes after its first partial picture, whatever number was asked for.
    EarlyCompletion,
}

/// The faults that wait for their calls.
#[derive(Default)]
pub struct Faults {
    queue: Mutex<Vec<Waiting>>,
}

struct Waiting {
    fault: Fault,
    prompt_part: String,
    times: usize,
}

impl Faults {
    /// Makes the next call fail with `fault`.
    pub fn next(&self, fault: Fault) {
        self.on("", 1, fault);
    }

    /// Makes the next `times` calls fail whose prompt contains `prompt_part`. Faults that were queued first go first.
    pub fn on(&self, prompt_part: &str, times: usize, fault: Fault) {
        let waiting = Waiting { fault, prompt_part: prompt_part.to_owned(), times };
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
    }

    /// Forgets all that still wait.
    pub fn clear(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The fault for a call with this prompt.
    pub(super) fn take(&self, prompt: &str) -> Option<Fault> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let index = queue.iter().position(|waiting| waiting.times > 0 && prompt.contains(&waiting.prompt_part))?;
        queue[index].times -= 1;
        let fault = queue[index].fault.clone();
        queue.retain(|waiting| waiting.times > 0);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_only_the_calls_it_was_queued_for() {
        let faults = Faults::default();
        faults.on("Slide 2", 2, Fault::Truncated);
        faults.next(Fault::NoUsage);
        assert!(matches!(faults.take("Slide 2 of 3"), Some(Fault::Truncated)));
        assert!(matches!(faults.take("Slide 1 of 3"), Some(Fault::NoUsage)));
        assert!(faults.take("Slide 1 of 3").is_none());
        assert!(matches!(faults.take("Slide 2 of 3"), Some(Fault::Truncated)));
        assert!(faults.take("Slide 2 of 3").is_none());
    }
}
