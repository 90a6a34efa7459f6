//! One line per event: text from the network can neither start a line nor send control sequences to a terminal.

use std::io::{self, Write};

/// Prefix of each further line of a message.
const MORE: &str = "\n    | ";

/// Writes whole events with control characters escaped.
#[derive(Debug)]
pub(super) struct Lines<W> {
    to: W,
    /// Keep escape sequences, which are our own colours; those in messages are escaped before.
    ansi: bool,
}

impl<W: Write> Lines<W> {
    /// Creates a writer on top of `to`.
    pub(super) fn new(to: W, ansi: bool) -> Self {
        Self { to, ansi }
    }
}

impl<W: Write> Write for Lines<W> {
    /// Writes one event: `tracing_subscriber` passes each in one call.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.to.write_all(plain(&String::from_utf8_lossy(event), self.ansi).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Escapes everything in an event that could imitate another event.
pub(super) fn plain(event: &str, ansi: bool) -> String {
    let line = event.strip_suffix('\n').unwrap_or(event);
    let mut plain = String::with_capacity(event.len() + 8);
    for sign in line.chars() {
        match sign {
            '\n' => plain.push_str(MORE),
            '\u{1b}' if ansi => plain.push(sign),
            // Not control characters in Unicode, but they break lines or change the direction of text.
            '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                plain.extend(sign.escape_unicode());
            }
            sign if sign.is_control() => plain.extend(sign.escape_default()),
            sign => plain.push(sign),
        }
    }
    plain.push('\n');
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_from_the_wire_begins_a_line() {
        let check = |event: &str, expected: &str| assert_eq!(plain(event, false), expected);
        check("INFO all is well\n", "INFO all is well\n");
        check("two\nlines\n", "two\n    | lines\n");
        check("a\r\u{1b}[31m\u{7}\tb\u{0}\u{9b}\n", "a\\r\\u{1b}[31m\\u{7}\\tb\\u{0}\\u{9b}\n");
        check("Tür 门\u{202e}\u{2028}", "Tür 门\\u{202e}\\u{2028}\n");
        assert_eq!(plain("\u{1b}[2mINFO\u{1b}[0m\n", true), "\u{1b}[2mINFO\u{1b}[0m\n");
    }
}
