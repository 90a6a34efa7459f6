//! `alarmbus serve`: runs the bridge.

use std::path::PathBuf;

use clap::Args;

use super::{Global, supervisor};
use crate::app::{self, ServeOptions};
use crate::config::{self, Flag};
use crate::log;
use crate::model::time::zone::problem_of_variable;
use crate::terminal::{Code, Failure};

/// Flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ServeArgs {
    /// Address and port that cameras push to; port 0 takes any free one (http.bind)
    #[arg(long, value_name = "ADDR")]
    bind: Option<String>,
    /// Write the addresses to this file as JSON, once all listeners are open
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl ServeArgs {
    /// Returns whether any of these flags is set.
    pub(super) fn is_given(&self) -> bool {
        self.bind.is_some() || self.ready_file.is_some()
    }

    /// These flags, completed by those before the word `serve`.
    pub(super) fn or(self, before: &Self) -> Self {
        Self {
            bind: self.bind.or_else(|| before.bind.clone()),
            ready_file: self.ready_file.or_else(|| before.ready_file.clone()),
        }
    }
}

/// Runs the bridge until it is stopped.
pub(super) fn run(global: &Global, serve: &ServeArgs) -> Result<(), Failure> {
    let bind = serve.bind.iter().map(|bind| Flag {
        name: "--bind".into(),
        key: "http.bind".into(),
        value: bind.clone(),
    });
    let (sources, no_broker) = supervisor::with_broker(global, bind.collect())?;
    let loaded = config::load(&sources)?;
    let log =
        log::start(&loaded.config.log).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(problem) = zone_of_machine() {
        tracing::warn!("{problem}");
    }
    if let Some(why) = no_broker {
        tracing::warn!("{why}");
    }
    let options = ServeOptions { ready_file: serve.ready_file.clone(), sources, log };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(app::run(loaded, options)).map_err(failure);
    // A hanging disk or name server does not delay the exit.
    runtime.shutdown_background();
    ended
}

/// Error in the variable that names this machine's time zone.
pub(super) fn zone_of_machine() -> Option<String> {
    problem_of_variable(&std::env::var("TZ").ok()?)
}

/// Exit code of a bridge that stopped by an error: its own, otherwise by the cause.
fn failure(error: anyhow::Error) -> Failure {
    let error = match error.downcast::<Failure>() {
        Ok(failure) => return failure,
        Err(error) => error,
    };
    let io = error.chain().any(|cause| cause.is::<std::io::Error>());
    Failure::new(if io { Code::Io } else { Code::Internal }, format!("{error:#}"))
}
