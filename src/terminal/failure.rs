//! Failure of a command: exit code and message.

use std::io::Write;
use std::process::ExitCode;

use crate::config::Mistakes;

/// Exit codes after BSD's sysexits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1: negative result (`healthcheck`, `doctor`).
    No,
    /// 64: the command line is wrong.
    Usage,
    /// 65: an input file cannot be understood.
    Data,
    /// 69: a required service does not answer.
    Unavailable,
    /// 70: internal error.
    Internal,
    /// 74: reading or writing failed.
    Io,
    /// 78: the configuration is wrong.
    Config,
}

impl Code {
    /// Number of the exit code.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::No => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Io => 74,
            Self::Config => 78,
        }
    }
}

/// Failure of a command: an exit code, and a message with cause and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// Message; empty if everything was printed already.
    pub message: String,
}

impl Failure {
    /// Creates a failure.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Prints the message on standard error and returns the exit code.
    #[must_use]
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            write_stderr(&format!("alarmbus: {}\n", self.message));
        }
        ExitCode::from(self.code.number())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Code::Io, error.to_string())
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        let count = mistakes.0.len();
        let head = if count == 1 { "a mistake".to_owned() } else { format!("{count} mistakes") };
        Self::new(Code::Config, format!("the configuration has {head}:\n{mistakes}"))
    }
}

/// Exits for clap: help and version on standard output with 0, mistakes on standard error with 64.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    if error.use_stderr() {
        write_stderr(&text.to_string());
        return ExitCode::from(Code::Usage.number());
    }
    match super::out::print(&text.to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Writes to standard error. A failure is ignored: the exit code still reports the result.
fn write_stderr(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
