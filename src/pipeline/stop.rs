//! How a running job is told to stop.

use tokio::sync::watch;

/// What is wanted of a running job, from gentle to final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Directive {
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
pub struct StopHandle(watch::Sender<Directive>);

/// The job's end: hears what is wanted.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Directive>);

/// Both ends, with [`Directive::Run`] to begin with.
pub fn stop() -> (StopHandle, Stop) {
    let (sender, receiver) = watch::channel(Directive::Run);
    (StopHandle(sender), Stop(receiver))
}

impl StopHandle {
    /// Says what is wanted. A gentler directive does not take back a sterner one.
    pub fn direct(&self, directive: Directive) {
        self.0.send_if_modified(|directed| {
            let sterner = directive > *directed;
            if sterner {
                *directed = directive;
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
        *self.0.borrow() == Directive::GiveWay
    }

    /// Whether another image may be begun.
    pub fn may_begin(&self) -> bool {
        *self.0.borrow() == Directive::Run
    }

    /// Waits until no other image may be begun.
    pub async fn closing(&self) {
        // The worker's end being gone closes as well.
        let _ = self.0.clone().wait_for(|directive| *directive > Directive::Run).await;
    }

    /// Waits until the job is to stop at once, and says why.
    pub async fn at_once(&mut self) -> Directive {
        match self.0.wait_for(|directive| *directive > Directive::Drain).await {
            Ok(directive) => *directive,
            // The worker is gone: nobody renews the lease any more.
            Err(_) => Directive::Lost,
        }
    }
}
