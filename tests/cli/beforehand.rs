//! What is wrong with a command line is told before anything is sent: here no project is there to send it to.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::process::Command;
use uuid::Uuid;

use crate::acting::refused;
use crate::submit::photo;
use crate::{carousel, ended};

/// A command as somebody of a project that nobody can reach.
fn command(arguments: &[&str]) -> Command {
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{}"}}"#, Uuid::new_v4()));
    let mut command = carousel(arguments);
    command
        .env("SUPABASE_URL", "http://127.0.0.1:1")
        .env("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_x")
        .env("SUPABASE_ACCESS_TOKEN", format!("e30.{claims}.x"));
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

#[tokio::test]
async fn what_is_no_regular_file_is_refused_by_what_it_is_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    std::os::unix::fs::symlink(at("pipe"), at("link to a pipe")).unwrap();
    std::os::unix::fs::symlink(at("nothing"), at("link to nothing")).unwrap();
    for (file, words) in [
        (at("pipe"), "pipe"),
        (at("link to a pipe"), "pipe"),
        (at("socket"), "socket"),
        ("/dev/null".into(), "device"),
        (folder.path().to_owned(), "folder"),
        (at("link to nothing"), "No such file"),
        ("-".into(), "standard input"),
    ] {
        let error = refused(command(&["submit", text(&file), "-p", "calm"]), 1).await;
        assert!(error.contains(text(&file)) && error.contains(words), "{}: {error}", file.display());
    }
    // A link to a picture is that picture, whatever else it is called.
    let picture = photo(folder.path(), "picture.png", 1);
    std::os::unix::fs::symlink(&picture, at("-")).unwrap();
    let error = refused(command(&["submit", text(&at("-")), "-p", "calm"]), 1).await;
    assert!(error.contains("can't be reached"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_larger_than_the_bucket_takes_by_one_byte_is_told_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let large = photo(folder.path(), "large.png", 1);
    std::fs::File::options().write(true).open(&large).unwrap().set_len((50 << 20) + 1).unwrap();
    let error = refused(command(&["submit", text(&large), "-p", "calm"]), 1).await;
    assert!(error.contains("52428801 bytes") && error.contains("52428800 (50 MB)"), "{error}");
}

#[tokio::test]
async fn a_place_that_no_download_can_go_to_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 1);
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink(folder.path().join("nothing"), &dangling).unwrap();
    let job = Uuid::new_v4().to_string();
    std::fs::write(folder.path().join(&job), "a file where the job's folder would be").unwrap();
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    for place in [file.clone(), file.join("below"), dangling, "/proc/no such".into(), "/proc/version".into()] {
        let place = text(&place);
        for arguments in [
            &["submit", text(&file), "-p", "calm", "--download", place][..],
            &["templates", "use", &job, "--download", place],
            &["watch", &job, "--download", place],
            &["carousels", "download", &job, "--dir", place],
        ] {
            let error = refused(command(arguments), 1).await;
            assert!(error.contains(place) && !error.contains("can't be reached"), "{arguments:?}: {error}");
        }
    }
    // Where the job is known, so is its folder.
    let error = refused(command(&["watch", &job, "--download", text(folder.path())]), 1).await;
    assert!(error.contains(&job) && !error.contains("can't be reached"), "{error}");
    // What can be made is not made before there is something to put into it.
    let deep = folder.path().join("one/two");
    let error = refused(command(&["submit", text(&file), "-p", "calm", "--download", text(&deep)]), 1).await;
    assert!(error.contains("can't be reached"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before, "nothing is left behind by looking");
}

#[tokio::test]
async fn a_time_without_its_zone_is_refused_with_the_same_time_in_zones() {
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 1);
    let submit = |at: &str| command(&["submit", text(&file), "-p", "calm", "--run-at", at]);
    for at in ["2026-07-24T18:00:00", "2026-07-24 18:00:00", "2026-07-24T18:00", "2026-07-24 18:00"] {
        let error = refused(submit(at), 2).await;
        for words in ["in which zone", "2026-07-24T18:00:00Z", "2026-07-24T18:00:00+02:00"] {
            assert!(error.contains(words), "{at}: {words} is missing in {error}");
        }
    }
    for at in ["soon", "18:00", "2026-07-24", "tomorrow", "2026-02-30T18:00:00Z", "now()", ""] {
        let error = refused(submit(at), 2).await;
        assert!(error.contains("T18:00:00Z"), "{at}: {error}");
    }
    for at in ["2026-07-24T18:00:00Z", "2026-07-24T18:00:00.5+05:30", "2026-07-24 18:00:00-04:00"] {
        let error = refused(submit(at), 1).await;
        assert!(error.contains("can't be reached"), "{at}: {error}");
    }
}

#[tokio::test]
async fn the_api_listens_at_a_name_and_says_what_is_missing_in_anything_less() {
    let api = |listen: &str| {
        let mut command = command(&["api"]);
        command.env("CAROUSEL_LISTEN", listen);
        command
    };
    // It listens, and then finds that there is no project.
    for listen in ["localhost:0", "127.0.0.1:0", "LOCALHOST:0"] {
        let (code, _, error) = ended(api(listen)).await;
        assert!(code == 1 && error.contains("the project can't be used"), "{listen}: {error}");
        assert!(error.contains("127.0.0.1"), "where it listens: {error}");
    }
    for (listen, words) in [
        (":8080", "127.0.0.1:8080"),
        ("8080", "127.0.0.1:8080"),
        (":8080", "0.0.0.0:8080"),
        ("localhost", "localhost:8080"),
        ("localhost:", "localhost:8080"),
        ("localhost:http", "localhost:8080"),
        ("localhost:70000", "65535"),
        ("::1:8080", "[::1]:8080"),
        ("http://localhost:8080", "localhost:8080"),
    ] {
        let (code, _, error) = ended(api(listen)).await;
        assert!(code == 2 && error.contains(words), "{listen}: {error}");
    }
    let (code, _, error) = ended(api("nobody.invalid:8080")).await;
    assert!(code == 1 && error.contains("nobody.invalid:8080") && error.contains("--listen"), "{error}");
}
