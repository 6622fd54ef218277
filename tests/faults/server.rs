//! A PostgreSQL server that can be stopped, in good order or as by a crash, and started again with the same data.

use std::path::PathBuf;
use std::sync::Arc;

use carousel::migrations;
use carousel_local::install::{self, Runtime};
use carousel_local::postgres::{Options, Server};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::project::{self, Project, Shared};

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, all is written.
    Fast,
    /// As by a crash: the next start recovers.
    Immediate,
}

pub struct Restartable {
    runtime: Runtime,
    directory: PathBuf,
    port: u16,
    /// The server that was started last, besides the first one.
    again: Mutex<Option<Server>>,
}

impl Restartable {
    /// A server of its own with a migrated project.
    pub async fn new() -> (Self, Project) {
        let runtime = install::ensure(&install::home(), |_| {}).await.expect("the local stack can be installed");
        let directory =
            tempfile::Builder::new().prefix("carousel-faults-").tempdir().expect("a folder can be made").keep();
        // Below the ports that the system gives to outgoing connections: nobody takes it while the server is away.
        let port = rand::random_range(20_000..32_000);
        let server = Server::start(&runtime.postgres, &directory, Options { port, throw_away: false }).await;
        let server = server.expect("PostgreSQL starts");
        let port = server.port();
        let database = format!("test_{}", Uuid::new_v4().simple());
        project::fresh(&server, &database, true).await;
        let mut owner = server.connect("postgres", &database).await.expect("postgres may connect");
        migrations::apply(&mut owner).await.expect("the migrations apply");
        let login = "alter role carousel_worker login password 'worker'";
        owner.batch_execute(login).await.expect("postgres may give the worker's role a login");
        // As long as the process, like the one that tests share.
        let shared = Box::leak(Box::new(Shared { runtime: runtime.clone(), server: Arc::new(server) }));
        let project = Project { shared, database, owner };
        (Self { runtime, directory, port, again: Mutex::default() }, project)
    }

    /// Stops the server and returns when it is gone.
    pub async fn stop(&self, how: Stop) {
        let file = self.directory.join("pgdata/postmaster.pid");
        let pid = std::fs::read_to_string(&file).expect("the server runs");
        let pid = pid.lines().next().expect("its first line is a process id").to_owned();
        let signal = if how == Stop::Fast { "-INT" } else { "-QUIT" };
        let sent = std::process::Command::new("kill").args([signal, &pid]).status().expect("kill can be run");
        assert!(sent.success());
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Starts it again, on the same port.
    pub async fn start(&self) {
        let options = Options { port: self.port, throw_away: false };
        let server = Server::start(&self.runtime.postgres, &self.directory, options).await.expect("it starts again");
        assert_eq!(server.port(), self.port, "its port was free");
        *self.again.lock().await = Some(server);
    }

    /// Stops it and removes its data.
    pub async fn end(self) {
        self.stop(Stop::Immediate).await;
        std::fs::remove_dir_all(&self.directory).expect("its data can be removed");
    }
}
