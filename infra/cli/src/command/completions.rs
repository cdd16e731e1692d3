//! `completions`: a script that completes the command line in a shell.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, CommandError};

/// The name of the command.
const NAME: &str = "intercom-bulk";

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk completions <SHELL>")]
#[command(
    long_about = "Print a script that completes the command line in a shell: commands, options, and their fixed \
    values.\n\n\
    It does not complete names of runs, plans and stacks: `history` lists runs. Print it again after an update."
)]
#[command(after_help = "Examples:\n  \
    bash:       intercom-bulk completions bash > ~/.local/share/bash-completion/completions/intercom-bulk\n  \
    zsh:        intercom-bulk completions zsh > ~/.zfunc/_intercom-bulk     # with ~/.zfunc in fpath, before compinit\n  \
    fish:       intercom-bulk completions fish > ~/.config/fish/completions/intercom-bulk.fish\n  \
    PowerShell: intercom-bulk completions powershell >> $PROFILE")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<u8, CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), NAME, &mut script);
        super::errors::ended(std::io::stdout().write_all(&script))?;
        Ok(0)
    }
}
