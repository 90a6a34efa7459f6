//! `alarmbus mapping`: drafts a mapping file from a recorded request.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::read;
use crate::decode::draft::Draft;
use crate::decode::recorded;
use crate::model::device::slug::slug;
use crate::terminal::{Code, Failure, out};

/// Flags of `mapping`.
#[derive(Debug, Args)]
pub(in crate::cli) struct MappingArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of the command.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Draft a mapping file from a recorded request: guesses with comments, to be corrected by hand
    Draft {
        /// A raw HTTP request or a bare body; - reads standard input
        file: PathBuf,
        /// Name of the mapping: a-z, 0-9 and _
        #[arg(long, default_value = "mine")]
        name: String,
        /// The Content-Type of a bare body
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
    },
}

/// Runs the verb.
pub(in crate::cli) fn run(mapping: &MappingArgs) -> Result<(), Failure> {
    let Verb::Draft { file, name, content_type } = &mapping.verb;
    if slug(name).as_deref() != Some(name) {
        return Err(Failure::new(Code::Usage, format!("--name {name}: write a-z, 0-9 and _")));
    }
    let bytes = read(file)?;
    let body = recorded::read(&bytes, content_type.as_deref());
    let draft = Draft::of(&body, &recorded::hints(&bytes));
    let draft = draft.map_err(|error| Failure::new(Code::Data, format!("{}: {error}", file.display())))?;
    out::print(&Draft { name: name.clone(), ..draft }.toml())
}
