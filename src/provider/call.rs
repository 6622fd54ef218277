//! Sends a request and waits for the head of its answer; tells what became of a request that got none.

use reqwest::{RequestBuilder, Response};
use tokio::time::{Instant, timeout_at};

use super::Provider;
use super::error::{Error, Told, Wait};
use super::upload::Upload;
use crate::outgoing;

impl Provider {
    /// Sends a request with the key.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        upload: &Upload,
        deadline: Instant,
    ) -> Result<Response, Error> {
        let mut answer = std::pin::pin!(request.headers(self.auth.clone()).send());
        loop {
            let left = upload.left();
            // While sources are sent, something must move; when all is sent, the provider works for as long as it needs.
            let silent = Instant::now() + self.settings.silence_timeout.max(self.settings.connect_timeout);
            let until = if left > 0 { deadline.min(silent) } else { deadline };
            match timeout_at(until, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(lost(&error, upload)),
                Err(_) if until == deadline => {
                    return Err(too_long(Wait::Total, upload, "there was no answer in time"));
                }
                Err(_) if left > 0 && upload.left() == left => {
                    return Err(too_long(Wait::Silence, upload, "it does not take the sources"));
                }
                Err(_) => {}
            }
        }
    }
}

fn too_long(what: Wait, upload: &Upload, message: &str) -> Error {
    let told = Box::new(Told { message: message.to_owned(), ..Told::default() });
    Error::Timeout { what, may_be_billed: upload.left() == 0, told }
}

/// The meaning of a request that got no answer.
pub(super) fn lost(error: &reqwest::Error, upload: &Upload) -> Error {
    if let Some(failure) = upload.take_failure() {
        return Error::SourceUnreadable(failure);
    }
    let told = Box::new(Told { message: reason(error), ..Told::default() });
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => Error::Timeout { what: Wait::Connect, may_be_billed: false, told },
        (true, false) => Error::Connect { told },
        (false, _) => Error::Reset { may_be_billed: upload.left() == 0, told },
    }
}

/// What a failed request comes down to.
pub(super) fn reason(error: &reqwest::Error) -> String {
    outgoing::reason(error, error.url(), "CAROUSEL_PROVIDER_CA")
}
