//! How a command ends when it does not end well.

use std::io::Write;
use std::process::ExitCode;

/// Exit codes after BSD's sysexits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 1: the answer is no (`healthcheck`, `check`).
    No,
    /// 64: the command line is wrong.
    Usage,
    /// 65: a file given to read holds nothing that can be understood.
    Data,
    /// 69: something that is needed does not answer.
    Unavailable,
    /// 70: a mistake of the program.
    Internal,
    /// 74: reading or writing failed.
    Io,
    /// 78: the configuration is wrong.
    Config,
}

impl Code {
    /// The number.
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

/// Why a command failed: an exit code, and a message for people with cause and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// Plain sentences; empty if all was said already.
    pub message: String,
}

impl Failure {
    /// A failure.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Says it on standard error and turns it into the exit code.
    #[must_use]
    pub(super) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            say(&format!("alarmbus: {}\n", self.message));
        }
        ExitCode::from(self.code.number())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Code::Io, error.to_string())
    }
}

/// Ends for clap: help and version on standard output with 0, mistakes on standard error with 64.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    if error.use_stderr() {
        say(&text.to_string());
        return ExitCode::from(Code::Usage.number());
    }
    match super::out::print(&text.to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Writes to standard error. There is nobody left to tell if that fails; the exit code still says it.
fn say(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
