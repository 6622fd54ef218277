//! `carousel completions`: scripts that shells take.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::{carousel, ended};

#[tokio::test]
async fn bash_takes_its_script_and_completes_commands_with_it() {
    let (code, script, error) = ended(carousel(&["completions", "bash"])).await;
    assert_eq!(code, 0, "{error}");
    let run = async |arguments: &[&str], text: &str| {
        let mut bash = Command::new("bash");
        bash.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut bash = bash.spawn().expect("bash starts");
        bash.stdin.take().expect("it reads").write_all(text.as_bytes()).await.expect("it takes a script");
        let output = bash.wait_with_output().await.expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("it writes text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (good, _, error) = run(&["-n"], &script).await;
    assert!(good && error.is_empty(), "{error}");
    let ask = format!(
        "{script}\nCOMP_WORDS=(carousel do); COMP_CWORD=1; _carousel carousel do carousel; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let (_, completed, error) = run(&["--noprofile", "--norc"], &ask).await;
    assert_eq!(completed.trim(), "doctor", "{error}");
}

#[tokio::test]
async fn every_shell_has_its_script_and_another_is_refused_by_name() {
    for (shell, begin) in
        [("zsh", "#compdef carousel"), ("fish", "#"), ("elvish", "use builtin"), ("powershell", "using")]
    {
        let (code, script, error) = ended(carousel(&["completions", shell])).await;
        assert_eq!(code, 0, "{shell}: {error}");
        assert!(script.trim_start().starts_with(begin) && script.contains("doctor"), "{shell}: {script}");
    }
    let (code, _, error) = ended(carousel(&["completions", "tcsh"])).await;
    assert!(code == 2 && error.contains("possible values: bash"), "{error}");
}
