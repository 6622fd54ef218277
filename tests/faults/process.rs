//! Worker processes: the program as it is deployed, started, signalled and read by a test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// A worker process. Dropping it kills it.
pub struct Worker {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Worker {
    /// Starts one with nothing of this machine's environment that it reads; its log goes to a new file in `folder`.
    pub fn start(folder: &Path, variables: &[(&str, String)]) -> Self {
        let log = folder.join(format!("worker-{}.log", uuid::Uuid::new_v4().simple()));
        let file = std::fs::File::create(&log).expect("a log file can be made");
        let mut command = Command::new(env!("CARGO_BIN_EXE_carousel"));
        command.arg("worker").stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        for (name, _) in std::env::vars() {
            if ["CAROUSEL_", "SUPABASE_", "OPENAI_", "DATABASE_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().expect("the program starts");
        let pid = child.id().expect("it runs");
        Self { child, pid, log }
    }

    /// Returns when it works; panics when it ends instead.
    pub async fn ready(mut self) -> Self {
        while !self.log().contains("worker started") {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the worker ended at its start ({status}): {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns when its log has `words` in it.
    pub async fn says(&self, words: &str) {
        self.says_often(words, 1).await;
    }

    /// Returns when its log has `words` in it so many times more.
    pub async fn says_again(&self, words: &str, times: usize) {
        self.says_often(words, self.log().matches(words).count() + times).await;
    }

    async fn says_often(&self, words: &str, times: usize) {
        let said = async {
            while self.log().matches(words).count() < times {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(45), said).await.is_err() {
            panic!("the worker never said `{words}`: {}", self.log());
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Ends it as the system does when memory is short, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("a process of ours can be killed");
    }

    /// Pauses it: to others it seems dead.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Wakes it.
    pub fn wake(&self) {
        self.signal("CONT");
    }

    /// Asks it to drain.
    pub fn ask_to_end(&self) {
        self.signal("TERM");
    }

    /// Waits for its end and returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        match tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await {
            Ok(status) => status.expect("it can be waited for").code(),
            Err(_) => panic!("the worker does not end: {}", self.log()),
        }
    }

    /// Lets it have at most so many files and connections open, and returns how many it could have; those that are open stay so.
    #[cfg(target_os = "linux")]
    pub fn limit_files(&self, most: u64) -> u64 {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // It has our own hard limit, which only root could raise again.
        let limit = Rlimit { current: Some(most), maximum: getrlimit(Resource::Nofile).maximum };
        let before = prlimit(pid, Resource::Nofile, limit).expect("a process of ours can be limited");
        before.current.expect("there is a limit")
    }

    fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(self.pid.to_string()).status();
        assert!(sent.expect("kill can be run").success(), "SIG{name} was not sent");
    }
}
