//! The composition root.

use std::path::PathBuf;

use crate::config::{Loaded, Sources};
use crate::log::LogHandle;

/// How `serve` was started.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where to write the addresses once everything listens.
    pub ready_file: Option<PathBuf>,
    /// What the configuration was loaded from: SIGHUP loads it again.
    pub sources: Sources,
    /// Changes the level of the log.
    pub log: LogHandle,
}

/// Runs the bridge until a signal.
///
/// # Errors
/// When it cannot start.
pub async fn run(loaded: Loaded, options: ServeOptions) -> anyhow::Result<()> {
    drop((loaded, options));
    anyhow::bail!("this build has no bridge in it yet")
}
