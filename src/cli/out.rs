//! Standard output of commands. Whoever stops reading (`alarmbus schema | head`) has seen enough: no error.

use std::io::{ErrorKind, Write};

use super::{Code, Failure};

/// Prints a text as it is.
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

/// Prints a JSON document over several lines.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}
