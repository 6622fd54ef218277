//! `carousel completions`: the command line, for a shell.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Print a script with which a shell completes commands and options
#[derive(Args, Debug)]
#[command(after_long_help = "Load it where your shell looks for such scripts:
  carousel completions bash > ~/.local/share/bash-completion/completions/carousel
  carousel completions zsh > \"${fpath[1]}/_carousel\"
  carousel completions fish > ~/.config/fish/completions/carousel.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "carousel", &mut script);
        Ok(std::io::stdout().write_all(&script)?)
    }
}
