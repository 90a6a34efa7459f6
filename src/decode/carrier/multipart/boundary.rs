//! Parameters of headers, and the boundary of a multipart body: as announced, or as found.

use memchr::memchr_iter;

/// Number of bytes of a body in which the first `--` line is searched.
const SEARCHED_BYTES: usize = 64 << 10;
/// The longest boundary taken from a body; RFC 2046 allows 70.
const MAX_BOUNDARY_LENGTH: usize = 200;

/// One parameter of a header value (`name`, `boundary`, `charset`): any case, quoted or bare, with or without
/// blanks around `;` and `=`.
pub(crate) fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let (key, tail) = rest.split_once('=')?;
        // What stands before the last `;` or blank is the value itself, or a parameter without one.
        let key = key.trim_end().rsplit([';', ' ', '\t']).next().unwrap_or(key);
        let (value, tail) = value_of(tail.trim_start());
        if key.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = tail;
    }
}

/// A parameter's value, and what comes after it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, tail) = text.split_once([';', ' ', '\t']).unwrap_or((text, ""));
        return (value.to_owned(), tail);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' if characters.as_str().starts_with('"') => value.extend(characters.next()),
            _ => value.push(character),
        }
    }
    (value, characters.as_str())
}

/// The boundary a `Content-Type` announces.
pub(crate) fn announced(content_type: Option<&str>) -> Option<String> {
    parameter(content_type?, "boundary").filter(|boundary| !boundary.is_empty())
}

/// The boundary of the first line that looks like a delimiter, whatever the header says.
pub(crate) fn sniffed(body: &[u8]) -> Option<String> {
    let window = body.get(..SEARCHED_BYTES).unwrap_or(body);
    let starts = std::iter::once(0).chain(memchr_iter(b'\n', window).map(|at| at + 1));
    starts.filter_map(|start| delimiter_line(window.get(start..)?)).next()
}

/// The boundary in a line `--boundary`, if the text begins with one.
fn delimiter_line(text: &[u8]) -> Option<String> {
    let rest = text.strip_prefix(b"--")?;
    let end =
        memchr::memchr(b'\n', rest.get(..MAX_BOUNDARY_LENGTH + 2).unwrap_or(rest)).unwrap_or(rest.len());
    let line = std::str::from_utf8(rest.get(..end)?).ok()?.trim_end();
    let boundary = line.strip_suffix("--").filter(|bare| !bare.is_empty()).unwrap_or(line);
    let fits = !boundary.is_empty()
        && boundary.len() <= MAX_BOUNDARY_LENGTH
        && boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then(|| boundary.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{announced, parameter, sniffed};

    #[test]
    fn boundaries_in_every_spelling() {
        for (header, expected) in [
            ("multipart/form-data; boundary=B", "B"),
            ("multipart/form-data;boundary=--VIGI-OPENAPI-MSG-PUSH", "--VIGI-OPENAPI-MSG-PUSH"),
            ("multipart/form-data ; charset=utf-8 ; BOUNDARY = \"a;b\" ; x", "a;b"),
            ("multipart/form-data; flag; boundary=B;", "B"),
            ("multipart/form-data boundary=B charset=x", "B"),
        ] {
            assert_eq!(announced(Some(header)).as_deref(), Some(expected), "{header}");
        }
        for header in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; x=\"y"]
        {
            assert_eq!(announced(Some(header)), None, "{header}");
        }
        assert_eq!(parameter("form-data; Name=event", "name").as_deref(), Some("event"));
        assert_eq!(
            parameter("form-data; filename=\"name=x\"; name=\"a\\\"b\"", "name").as_deref(),
            Some("a\"b")
        );
    }

    #[test]
    fn the_first_dashed_line_is_the_boundary() {
        assert_eq!(sniffed(b"\r\n--B \r\nA: b").as_deref(), Some("B"));
        assert_eq!(sniffed(b"junk\n----B--").as_deref(), Some("--B"));
        assert_eq!(sniffed(b"--\r\n--\xff\r\n"), None);
        assert_eq!(sniffed(b"{\"a\":\"--B\"}"), None);
    }
}
