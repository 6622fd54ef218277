//! How slow the other side may be: what is waited for, to come or to be taken, has to go on at a least rate.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long may be waited for each [`LEAST`] bytes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// About 2 kB a second.
const LEAST: usize = 64 << 10;

/// How long was waited since the last [`LEAST`] bytes had moved. What is done with them meanwhile takes its own time.
pub(super) struct Pace {
    patience: Duration,
    waited: Duration,
    moved: usize,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, waited: Duration::ZERO, moved: 0 }
    }

    /// How long may still be waited.
    pub(super) fn left(&self) -> Duration {
        self.patience.saturating_sub(self.waited)
    }

    /// So many bytes have moved after so long.
    pub(super) fn moved(&mut self, bytes: usize, waited: Duration) {
        self.waited += waited;
        self.moved += bytes;
        if self.moved >= LEAST {
            *self = Self::new(self.patience);
        }
    }
}

/// A connection that fails once it is read too slowly.
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
    /// Since when something waits to be written, and when that is too long.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace) -> Self {
        Self { stream, pace, waiting: None }
    }

    /// What is to be said of a write that the stream answered so.
    fn judge(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            self.pace.moved(written.as_ref().copied().unwrap_or(0), waited);
            return Poll::Ready(written);
        }
        let left = self.pace.left();
        let (_, late) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        ready!(late.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is read too slowly")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// It is asked for when all is written: nothing waits any more.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waiting = None;
        self.pace = Pace::new(self.pace.patience);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Seconds until somebody is given up who takes, or sends, so many bytes a second; nothing if they never are.
    fn given_up(bytes: usize) -> Option<u64> {
        let mut pace = Pace::new(PATIENCE);
        (1..10_000).find(|_| {
            let is_late = pace.left() < Duration::from_secs(1);
            pace.moved(bytes, Duration::from_secs(1));
            is_late
        })
    }

    #[test]
    fn who_is_below_the_least_rate_is_given_up_and_nobody_else() {
        assert_eq!([0, 1, 1000].map(given_up), [Some(31), Some(31), Some(31)]);
        assert_eq!([4096, 1 << 20].map(given_up), [None, None]);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_ends_the_connection() {
        let (ours, _theirs) = duplex(4096);
        let mut paced = Paced::new(ours, Pace::new(Duration::from_millis(50)));
        let error = paced.write_all(&vec![7; 1 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_waits_has_all_its_patience() {
        let (ours, mut theirs) = duplex(4096);
        let mut paced = Paced::new(ours, Pace::new(PATIENCE));
        paced.pace.moved(1, PATIENCE);
        paced.write_all(b"event").await.unwrap();
        paced.flush().await.unwrap();
        assert_eq!((paced.pace.left(), paced.waiting.is_none()), (PATIENCE, true));
        theirs.read_exact(&mut [0; 5]).await.unwrap();
    }
}
