//! The files of a PostgreSQL server: made once by `initdb`, with a password of their own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::install::create_open_directory;
use super::postgres::ADMIN;
use super::process::User;

/// Where the server's own files are.
pub fn data(directory: &Path) -> PathBuf {
    directory.join("pgdata")
}

/// Makes `directory` ready for a start, when it isn't yet, and returns its password.
pub async fn prepare(
    programs: &Path,
    directory: &Path,
    user: Option<User>,
    throw_away: bool,
) -> anyhow::Result<String> {
    create_open_directory(directory)?;
    let own = |path: &Path| user.map_or(Ok(()), |user| user.own(path));
    let password_file = directory.join("password");
    if data(directory).exists() {
        let password = fs::read_to_string(&password_file);
        return password.with_context(|| format!("{} can't be read: start with --reset", password_file.display()));
    }
    if throw_away {
        // Its supervisor, who has only that account's rights, is to remove it.
        own(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    let password = uuid::Uuid::new_v4().simple().to_string();
    let _ = fs::remove_file(&password_file);
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&password_file)?;
    file.write_all(password.as_bytes())?;
    own(&password_file)?;

    // A directory that was left half made must not be taken for a server's data.
    let unfinished = directory.join("pgdata.unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    fs::DirBuilder::new().mode(0o700).create(&unfinished)?;
    own(&unfinished)?;
    initdb(programs, &unfinished, &password_file, user, throw_away).await?;
    fs::rename(&unfinished, data(directory))?;
    Ok(password)
}

async fn initdb(
    programs: &Path,
    data: &Path,
    password: &Path,
    user: Option<User>,
    throw_away: bool,
) -> anyhow::Result<()> {
    let program = programs.join("initdb");
    let mut command = Command::new(&program);
    command.arg("-D").arg(data).arg("--pwfile").arg(password).args(["-U", ADMIN, "--auth=scram-sha-256"]);
    command.args(["--encoding=UTF8", "--locale=C", "--no-instructions"]).env("LC_ALL", "C").kill_on_drop(true);
    if has_builtin_locale(&program).await? {
        command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    }
    if throw_away {
        command.arg("--no-sync");
    }
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid).current_dir("/");
    }
    let output = command.output().await.with_context(|| format!("{} can't be run", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.lines().find(|line| line.contains("error")).unwrap_or("no reason given");
        bail!(
            "initdb can't make {} ({reason}): check that its account can enter that directory and {}",
            data.display(),
            programs.display()
        );
    }
    Ok(())
}

/// Whether this PostgreSQL knows letters beyond ASCII without the system's help (since version 17).
async fn has_builtin_locale(initdb: &Path) -> anyhow::Result<bool> {
    let output = Command::new(initdb).arg("--version").output().await;
    let output = output.with_context(|| format!("{} can't be run", initdb.display()))?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let major = version.split_whitespace().find_map(|word| word.split('.').next()?.parse::<u32>().ok());
    Ok(major.with_context(|| format!("{} doesn't tell its version", initdb.display()))? >= 17)
}
