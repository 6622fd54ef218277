//! A TCP proxy before one server, that stands for the network: it passes everything on until a test says otherwise.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::pgwire;

/// What the network does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes them on.
    Open,
    /// Passes each piece on after so long.
    Slow(Duration),
    /// Keeps them, in both directions, and notices no end of a connection.
    Frozen,
    /// Takes no connection: each new one is reset at once.
    Away,
    /// Refuses new sessions of PostgreSQL with this SQLSTATE and these words, as a pooler does.
    Full(&'static str, &'static str),
}

/// Where a request that was caught is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Before the server has seen all of it.
    Request,
    /// When so many bytes of its answer have gone through.
    AnswerAfter(usize),
}

/// A running proxy. Dropping it ends the connections through it.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    target: SocketAddr,
    mode: watch::Sender<Mode>,
    /// How often connections were cut: one that is older than the last cut ends.
    cuts: watch::Sender<u64>,
    /// Connections that their clients have open.
    open: watch::Sender<usize>,
    /// SQLSTATEs that are answered to the next statements of PostgreSQL, whatever came of them.
    refusals: Mutex<Vec<String>>,
    snare: Mutex<Option<(Vec<u8>, Hold)>>,
    /// Requests that were caught, and whether they are held any longer.
    caught: watch::Sender<usize>,
    free: watch::Sender<bool>,
}

impl Proxy {
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared {
            target,
            mode: watch::Sender::new(Mode::Open),
            cuts: watch::Sender::new(0),
            open: watch::Sender::new(0),
            refusals: Mutex::default(),
            snare: Mutex::default(),
            caught: watch::Sender::new(0),
            free: watch::Sender::new(true),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((client, _)) = accepted {
                        connections.spawn(serve(Arc::clone(&serving), client));
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self { port, shared, task }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Resets every connection that is open.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Resets what is open and takes nothing new.
    pub fn go_away(&self) {
        self.set(Mode::Away);
        self.cut();
    }

    /// Holds the next request that has `needle` in it, until [`Proxy::let_go`].
    pub fn catch(&self, needle: &str, hold: Hold) {
        self.shared.free.send_replace(false);
        self.shared.caught.send_replace(0);
        *lock(&self.shared.snare) = Some((needle.as_bytes().to_vec(), hold));
    }

    /// Lets the next statements of PostgreSQL be done, and answers each with one of these SQLSTATEs.
    pub fn refuse(&self, codes: &[&str]) {
        *lock(&self.shared.refusals) = codes.iter().map(|code| (*code).to_owned()).collect();
    }

    /// Returns when the request was caught.
    pub async fn caught(&self) {
        let _ = self.shared.caught.subscribe().wait_for(|caught| *caught > 0).await;
    }

    pub fn let_go(&self) {
        *lock(&self.shared.snare) = None;
        self.shared.free.send_replace(true);
    }

    /// Returns when no client has a connection open.
    pub async fn unused(&self) {
        let _ = self.shared.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of a session of PostgreSQL.
#[derive(PartialEq)]
enum Session {
    /// It may be another protocol.
    Beginning,
    /// It has answered before.
    Ready,
    /// The next answer is not the server's.
    Refused(String),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(shared: Arc<Shared>, mut client: TcpStream) {
    let mut cuts = shared.cuts.subscribe();
    let before = *cuts.borrow();
    let mode = *shared.mode.borrow();
    match mode {
        Mode::Away => return drop(client.set_zero_linger()),
        Mode::Full(code, words) => return pgwire::turn_away(client, code, words).await,
        _ => {}
    }
    let Ok(mut server) = TcpStream::connect(shared.target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    shared.open.send_modify(|open| *open += 1);
    // How much of the answer may pass.
    let quota = watch::Sender::new(usize::MAX);
    let session = Mutex::new(Session::Beginning);
    let was_cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = requests(&shared, from_client, to_server, &quota, &session) => false,
            () = answers(&shared, from_server, to_client, &quota, &session) => false,
            _ = cuts.wait_for(|cuts| *cuts != before) => true,
        }
    };
    if was_cut {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
    shared.open.send_modify(|open| *open -= 1);
}

/// Passes on what the client says, looking for what is to be caught.
async fn requests(
    shared: &Shared,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    quota: &watch::Sender<usize>,
    session: &Mutex<Session>,
) {
    let mut buffer = vec![0; 64 << 10];
    // The end of the last piece, in which a needle may have begun.
    let mut tail = Vec::new();
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..length];
        let caught = {
            let mut snare = lock(&shared.snare);
            tail.extend_from_slice(piece);
            let found = snare.take_if(|(needle, _)| memchr::memmem::find(&tail, needle).is_some());
            let kept = tail.len().saturating_sub(200);
            tail.drain(..kept);
            found.map(|(_, hold)| hold)
        };
        if let Some(hold) = caught {
            shared.caught.send_modify(|caught| *caught += 1);
            match hold {
                Hold::Request => {
                    // The client may go while its request is held, and that must be seen.
                    let mut more = [0; 1];
                    let mut free = shared.free.subscribe();
                    tokio::select! {
                        _ = free.wait_for(|free| *free) => {}
                        Ok(0) | Err(_) = async { loop { match from.read(&mut more).await { Ok(1) => {} end => return end } } } => return,
                    }
                    // What came after the needle was swallowed: this request can only fail.
                    return;
                }
                Hold::AnswerAfter(bytes) => drop(quota.send_replace(bytes)),
            }
        }
        passable(shared).await;
        {
            let mut session = lock(session);
            if *session == Session::Ready
                && let Some(code) = lock(&shared.refusals).pop()
            {
                *session = Session::Refused(code);
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    passable(shared).await;
}

async fn answers(
    shared: &Shared,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    quota: &watch::Sender<usize>,
    session: &Mutex<Session>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        passable(shared).await;
        let mut piece = &buffer[..length];
        let refused = match &mut *lock(session) {
            Session::Refused(code) => Some(std::mem::take(code)),
            session if piece.ends_with(pgwire::READY) => {
                *session = Session::Ready;
                None
            }
            _ => None,
        };
        if let Some(code) = refused {
            pgwire::rest_of_answer(piece, &mut from).await;
            *lock(session) = Session::Ready;
            let answer = [pgwire::refusal("ERROR", &code, "refused by a test"), pgwire::READY.to_vec()].concat();
            if to.write_all(&answer).await.is_err() {
                return;
            }
            continue;
        }
        while !piece.is_empty() {
            let may = *quota.borrow();
            let part = may.min(piece.len());
            if part == 0 {
                let _ = shared.free.subscribe().wait_for(|free| *free).await;
                quota.send_replace(usize::MAX);
                continue;
            }
            if to.write_all(&piece[..part]).await.is_err() {
                return;
            }
            piece = &piece[part..];
            quota.send_modify(|left| *left = left.saturating_sub(if *left == usize::MAX { 0 } else { part }));
        }
    }
    passable(shared).await;
}

/// Returns when a piece may pass.
async fn passable(shared: &Shared) {
    let slow = *shared.mode.borrow();
    if let Mode::Slow(pause) = slow {
        tokio::time::sleep(pause).await;
    }
    let _ = shared.mode.subscribe().wait_for(|mode| *mode != Mode::Frozen).await;
}
