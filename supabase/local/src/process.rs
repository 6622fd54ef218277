//! A child process that ends when we end, however we end, and writes what it says to a file.
//!
//! A small `sh` stands between us and the program. It reads from a pipe that only we hold: when the pipe closes, because we stopped
//! the program or because we are gone (SIGKILL included), it sends the program its stop signal and waits for it. Weakness: a
//! program that is killed from outside together with its supervisor leaves nothing to be told.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context;

/// Arguments: stop signal, directory to remove after the end (or nothing), program, its arguments.
///
/// The program's own standard input is empty, and the reading loop is a builtin, so that one signal ends all of the watcher.
const SUPERVISOR: &str = r#"
signal=$1; remove=$2; shift 2
exec 3<&0 </dev/null
"$@" 3<&- &
child=$!
(
    while read -r _; do :; done
    kill -s "$signal" "$child"
    seconds=0
    while [ "$seconds" -lt 15 ]; do sleep 1; seconds=$((seconds + 1)); done
    kill -s KILL "$child"
) <&3 3<&- 2>/dev/null &
watcher=$!
exec 3<&-
wait "$child"
status=$?
kill "$watcher" 2>/dev/null
if [ -n "$remove" ]; then rm -rf -- "$remove"; fi
exit "$status"
"#;

/// An account of this machine, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Id of the user's main group.
    pub gid: u32,
}

impl User {
    /// The account that a program which refuses root runs as: `postgres`, else `nobody`. `None` when we aren't root ourselves.
    pub fn unprivileged() -> anyhow::Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let accounts = std::fs::read_to_string("/etc/passwd").context("/etc/passwd can't be read")?;
        let find = |name| Self::in_accounts(&accounts, name);
        let user = find("postgres").or_else(|| find("nobody"));
        user.map(Some)
            .context("PostgreSQL refuses to run as root: create a user `postgres` (useradd --system postgres)")
    }

    fn in_accounts(accounts: &str, name: &str) -> Option<Self> {
        let mut fields = accounts.lines().map(|line| line.split(':')).find(|line| line.clone().next() == Some(name))?;
        Some(Self { uid: fields.nth(2)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }

    /// Gives `path` to this account.
    pub fn own(self, path: &Path) -> std::io::Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
    }
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    // A file that we create belongs to our effective user, which std doesn't tell otherwise.
    *ROOT.get_or_init(|| tempfile::tempfile().and_then(|file| file.metadata()).is_ok_and(|file| file.uid() == 0))
}

/// What is to be run, and how.
pub struct Program<'a> {
    /// The program's file.
    pub path: &'a Path,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to our own environment.
    pub env: Vec<(&'static str, OsString)>,
    /// The account that it runs as; `None` is our own.
    pub user: Option<User>,
    /// Name of the signal that ends it in good order, such as `TERM`. Fifteen seconds later it is killed.
    pub stop_signal: &'static str,
    /// Where its output and its errors are appended.
    pub log: &'a Path,
    /// A directory that goes when the program has ended, even if we are gone by then.
    pub remove_after: Option<&'a Path>,
}

/// A running program. Dropping it tells the program to stop and doesn't wait.
pub struct Process {
    child: Option<Child>,
    /// Held open for as long as the program is to run.
    alive: Option<ChildStdin>,
    /// Kept open, because the log may go together with the directory that the program leaves.
    log: File,
    /// Length of the log when this program started.
    log_start: u64,
}

impl Process {
    /// Starts `program` in a process group of its own, so that a terminal's Ctrl-C reaches only us.
    pub fn start(program: &Program<'_>) -> anyhow::Result<Self> {
        let name = program.path.display();
        let log = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(program.log);
        let log = log.with_context(|| format!("the log file {} can't be written", program.log.display()))?;
        let log_start = log.metadata()?.len();
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "carousel-supervisor", program.stop_signal]);
        command.arg(program.remove_after.unwrap_or(Path::new(""))).arg(program.path).args(&program.args);
        command.envs(program.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log.try_clone()?).process_group(0);
        if let Some(user) = program.user {
            // Our own working directory may be closed to that account.
            command.uid(user.uid).gid(user.gid).current_dir("/");
        }
        let mut child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        let alive = child.stdin.take();
        Ok(Self { child: Some(child), alive, log, log_start })
    }

    /// Whether the program has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// What the program has written since it was started; empty when the log can't be read.
    pub fn output(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut bytes = vec![0; usize::try_from(self.log.metadata()?.len() - self.log_start).unwrap_or(0)];
            self.log.read_exact_at(&mut bytes, self.log_start)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Stops the program in good order and waits until it is gone.
    pub async fn stop(mut self) {
        drop(self.alive.take());
        if let Some(mut child) = self.child.take() {
            // The supervisor kills what doesn't obey, so this wait has an end.
            let _ = tokio::task::spawn_blocking(move || child.wait()).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(mut child) = self.child.take() {
            // Someone has to collect the exit status, and Drop must not wait for it.
            std::thread::spawn(move || child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> Process {
        let log = directory.join("log");
        let program = Program {
            path: Path::new("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            env: vec![("WORD", "heard".into())],
            user: None,
            stop_signal: "TERM",
            log: &log,
            remove_after: None,
        };
        Process::start(&program).unwrap()
    }

    async fn until_it_says(process: &Process, word: &str) {
        while !process.output().contains(word) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_stopped_program_gets_its_signal_and_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let process = shell("trap 'echo bye; exit 0' TERM; echo $WORD; while :; do sleep 0.05; done", directory.path());
        until_it_says(&process, "heard").await;
        process.stop().await;
        assert_eq!(std::fs::read_to_string(directory.path().join("log")).unwrap(), "heard\nbye\n");
    }

    #[tokio::test]
    async fn a_program_that_ends_by_itself_is_noticed_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell("echo no >&2; exit 3", directory.path());
        while !process.has_ended() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(process.output(), "no\n");
    }

    #[tokio::test]
    async fn output_leaves_out_what_an_earlier_run_wrote() {
        let directory = tempfile::tempdir().unwrap();
        let first = shell("echo first", directory.path());
        until_it_says(&first, "first").await;
        first.stop().await;
        let second = shell("echo second", directory.path());
        until_it_says(&second, "second").await;
        assert_eq!(second.output(), "second\n");
    }

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "postgresql:x:7:8::/:/bin/sh\npostgres:x:101:104:PostgreSQL:/var:/bin/sh\n";
        assert_eq!(User::in_accounts(accounts, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(User::in_accounts(accounts, "nobody"), None);
    }
}
