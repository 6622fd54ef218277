//! Tries again what cost nothing yet, or is paid for already, as far as [`judge`] allows.

use crate::failure::{Failure, Tried, Verdict, judge};

/// Does `work` until it succeeds, or would only fail again. `tried` says what has failed so often.
pub(super) async fn retry<T, W>(tried: impl Fn(u32) -> Tried, mut work: impl FnMut() -> W) -> Result<T, Failure>
where
    W: Future<Output = Result<T, Failure>>,
{
    let mut failed = 0;
    loop {
        let failure = match work().await {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        failed += 1;
        let Verdict::Again(pause) = judge(&failure, tried(failed)) else { return Err(failure) };
        tracing::warn!(error = %failure, failed, retry_in_ms = pause.as_millis(), "Storage is tried again");
        tokio::time::sleep(pause).await;
    }
}
