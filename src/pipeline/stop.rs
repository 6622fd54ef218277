//! How a running job is told to stop.

use tokio::sync::watch;

/// What is wanted of a running job, from gentle to final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Go on.
    Run,
    /// Begin no more images, since somebody else waits; let those that run finish.
    GiveWay,
    /// Begin no more images; let those that run finish.
    Drain,
    /// Stop now and give the job back.
    Release,
    /// Stop now: the owner does not want it any more.
    Cancel,
    /// Stop now and write nothing: the lease is lost.
    Lost,
}

/// The worker's end: says what is wanted.
#[derive(Clone, Debug)]
pub struct StopHandle(watch::Sender<Wish>);

/// The job's end: hears what is wanted.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Wish>);

/// Both ends, with [`Wish::Run`] to begin with.
pub fn stop() -> (StopHandle, Stop) {
    let (sender, receiver) = watch::channel(Wish::Run);
    (StopHandle(sender), Stop(receiver))
}

impl StopHandle {
    /// Says what is wanted. A gentler wish does not take back a sterner one.
    pub fn wish(&self, wish: Wish) {
        self.0.send_if_modified(|wished| {
            let sterner = wish > *wished;
            if sterner {
                *wished = wish;
            }
            sterner
        });
    }

    /// Whether the job is still there to hear.
    pub fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }
}

impl Stop {
    /// Whether the job makes room for somebody else's.
    pub fn gives_way(&self) -> bool {
        *self.0.borrow() == Wish::GiveWay
    }

    /// Whether another image may be begun.
    pub fn may_begin(&self) -> bool {
        *self.0.borrow() == Wish::Run
    }

    /// Waits until no other image may be begun.
    pub async fn closing(&self) {
        // The worker's end being gone closes as well.
        let _ = self.0.clone().wait_for(|wish| *wish > Wish::Run).await;
    }

    /// Waits until the job is to stop at once, and says why.
    pub async fn at_once(&mut self) -> Wish {
        match self.0.wait_for(|wish| *wish > Wish::Drain).await {
            Ok(wish) => *wish,
            // The worker is gone: nobody renews the lease any more.
            Err(_) => Wish::Lost,
        }
    }
}
