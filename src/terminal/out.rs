//! Standard output of commands. A closed pipe (`alarmbus schema | head`) is not an error.

use std::io::{ErrorKind, Write};

use super::{Code, Failure};

/// Prints a text.
///
/// # Errors
/// When it cannot be written for another reason than a closed pipe.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Io, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a message on standard error. A failure to write is ignored.
pub fn print_stderr(text: &str) {
    let _unread = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Prints an indented JSON document.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}
