//! `alarmbus completions`: a completion script, or the man pages; both from the definitions of the commands.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::terminal::{Code, Failure, out};

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(required_unless_present = "man")]
    shell: Option<Shell>,
    /// Write man pages into this folder instead, one for each command
    #[arg(long, value_name = "DIR", conflicts_with = "shell")]
    man: Option<PathBuf>,
}

/// Prints the script, or writes the man pages.
pub(super) fn run(completions: &CompletionsArgs) -> Result<(), Failure> {
    if let Some(folder) = &completions.man {
        return pages(folder);
    }
    let Some(shell) = completions.shell else { return Ok(()) };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "alarmbus", &mut script);
    out::print(&String::from_utf8_lossy(&script))
}

/// Writes the man pages.
fn pages(folder: &Path) -> Result<(), Failure> {
    let refuse = |error: std::io::Error| {
        let shown = folder.display();
        Failure::new(Code::Io, format!("no man pages can be written into {shown}: {error}; name a folder"))
    };
    std::fs::create_dir_all(folder).map_err(refuse)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(refuse)
}
