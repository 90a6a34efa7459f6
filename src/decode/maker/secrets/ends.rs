//! Ends of secret values. In doubt a value is longer rather than shorter.

/// Maximum length of the name of the field behind a value.
const KEY: usize = 64;

/// End of a quoted value: the next quote that is not escaped and not followed by a letter, else that of the text.
pub(super) fn quoted_end(text: &[u8], start: usize, quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(start) {
        match *byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            found if found == quote && !text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) => return at,
            _ => {}
        }
    }
    text.len()
}

/// End of an object or a list of JSON.
pub(super) fn nested_end(text: &[u8], start: usize) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// End of the text of an element: its own end tag.
pub(super) fn element_end(text: &[u8], start: usize, name: &[u8]) -> usize {
    let mut at = start;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memmem::find(rest, b"</")) {
        at += found + 2;
        let tag = text.get(at..text.len().min(at + name.len() + KEY)).unwrap_or_default();
        let tag = tag
            .split(|byte| matches!(byte, b'>' | b'<') || byte.is_ascii_whitespace())
            .next()
            .unwrap_or_default();
        let local = tag.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        if local.eq_ignore_ascii_case(name) {
            return at - 2;
        }
    }
    text.len()
}

/// End of a value without quotes behind a `:` or a `=`.
pub(super) fn bare_end(text: &[u8], start: usize, colon: bool) -> usize {
    let mut at = start;
    while let Some((byte, rest)) = text.get(at..).and_then(<[u8]>::split_first) {
        match byte {
            b'\n' if colon && matches!(rest.first(), Some(b' ' | b'\t')) && continues(rest) => {}
            b'\r' if colon && rest.starts_with(b"\n ") && continues(rest.get(1..).unwrap_or_default()) => {}
            b'\r' | b'\n' => return at,
            b'<' if rest.first().is_some_and(|next| *next == b'/' || next.is_ascii_alphabetic()) => {
                return at;
            }
            b'"' | b'\'' if at > start && text.get(at - 1) == Some(&b'=') => {
                let line = rest.iter().position(|next| next == byte || *next == b'\n');
                at += line.filter(|end| rest.get(*end) == Some(byte)).map_or(0, |end| end + 1);
            }
            b'"' | b'\'' if ends_text(rest) => return at,
            b'&' if is_field(rest) => return at,
            b';' if is_field(rest) || matches!(rest.trim_ascii_start().first(), None | Some(b'}' | b'"')) => {
                return at;
            }
            b';' if rest.first().is_some_and(|next| matches!(next, b'\r' | b'\n')) => return at,
            b' ' if !colon && (is_field(rest) || rest.starts_with(b"HTTP/")) => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Returns whether a line that begins with a blank goes on with the parameters of a header.
fn continues(line: &[u8]) -> bool {
    let near = line.get(..line.len().min(KEY)).unwrap_or_default().trim_ascii_start();
    let name = near.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    name > 0 && near.get(name..).is_some_and(|rest| rest.starts_with(b"=\""))
}

/// Returns whether a quote with this behind it ends the text around a value.
fn ends_text(rest: &[u8]) -> bool {
    let near = rest.get(..rest.len().min(KEY)).unwrap_or_default().trim_ascii_start();
    near.first().is_none_or(|byte| b",}]:>/;&".contains(byte)) || is_field(rest)
}

/// Returns whether another field begins here: a name and an equals sign.
fn is_field(rest: &[u8]) -> bool {
    let near = rest.get(..rest.len().min(KEY)).unwrap_or_default();
    let near = near.trim_ascii_start();
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.[]%".contains(*byte);
    let name = near.iter().take_while(is_name).count();
    name > 0 && near.get(name) == Some(&b'=')
}
