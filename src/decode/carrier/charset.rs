//! Text in any encoding that devices use. An unreadable byte costs a character, never the event.

use std::borrow::Cow;

use encoding_rs::{Encoding, GBK, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Decoded text, and what was repaired.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text<'b> {
    /// The characters; unreadable bytes are U+FFFD.
    pub(crate) text: Cow<'b, str>,
    /// The encoding, when it is not the UTF-8 that JSON requires.
    pub(crate) repaired: Option<&'static str>,
}

/// Decodes bytes as text. The encoding is chosen in this order: a byte order mark or the NULs of UTF-16, valid UTF-8,
/// the announced charset, a guess from the bytes.
pub(crate) fn read<'b>(bytes: &'b [u8], announced: Option<&str>) -> Text<'b> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return decoded(bytes.get(mark..).unwrap_or_default(), encoding);
    }
    let first = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count() & !1;
    match bytes.get(first..).unwrap_or_default() {
        [b'{' | b'[', 0, ..] => return decoded(bytes, UTF_16LE),
        [0, b'{' | b'[', next, ..] if *next == 0 => return decoded(bytes, UTF_16BE),
        _ => {}
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Text { text: Cow::Borrowed(text), repaired: None };
    }
    let named = announced.and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = named.filter(|encoding| *encoding != UTF_8).unwrap_or_else(|| guessed(bytes));
    decoded(bytes, encoding)
}

/// Decodes with replacement.
fn decoded<'b>(bytes: &'b [u8], encoding: &'static Encoding) -> Text<'b> {
    let (text, damaged) = encoding.decode_without_bom_handling(bytes);
    let repaired = (damaged || encoding != UTF_8).then(|| encoding.name());
    Text { text, repaired }
}

/// Most likely encoding of bytes that are not valid UTF-8: damaged UTF-8 if most of it is valid, GB2312 if every pair
/// of high bytes is a common Chinese character, otherwise Latin.
fn guessed(bytes: &[u8]) -> &'static Encoding {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|character| !character.is_ascii()).count();
        bad += chunk.invalid().len();
    }
    if good >= bad {
        UTF_8
    } else if is_gb2312(bytes) {
        GBK
    } else {
        WINDOWS_1252
    }
}

/// Returns whether all high bytes come in pairs that GB2312 knows.
fn is_gb2312(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return true,
            [0..=0x7f, tail @ ..] => tail,
            [0xa1..=0xf7, 0xa1..=0xfe, tail @ ..] => tail,
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{GBK, UTF_16BE, UTF_16LE};
    use proptest::prelude::*;

    use super::read;

    #[track_caller]
    fn check(bytes: &[u8], announced: Option<&str>, text: &str, repaired: Option<&str>) {
        let found = read(bytes, announced);
        assert_eq!((found.text.as_ref(), found.repaired), (text, repaired), "{}", bytes.escape_ascii());
    }

    #[test]
    fn every_encoding_a_device_may_write() {
        check("{\"a\":\"前门\"}".as_bytes(), None, "{\"a\":\"前门\"}", None);
        check(b"\xef\xbb\xbf{}", None, "{}", None);
        check(b"\xff\xfe{\0}\0", None, "{}", Some(UTF_16LE.name()));
        check(b"{\0}\0", None, "{}", Some(UTF_16LE.name()));
        check(b"\xfe\xff\0{\0}", None, "{}", Some(UTF_16BE.name()));
        check(b"\0{\0}", None, "{}", Some(UTF_16BE.name()));
        check(&GBK.encode("{\"a\":\"联通大门\"}").0, None, "{\"a\":\"联通大门\"}", Some("GBK"));
        check(b"{\"a\":\"Caf\xe9 T\xfcr\"}", None, "{\"a\":\"Café Tür\"}", Some("windows-1252"));
        check(b"{\"a\":\"T\xfcr\"}", Some("GBK"), "{\"a\":\"T黵\"}", Some("GBK"));
        check(b"{\"a\":\"\xe5\x89\x8d\xe9\"}", Some("utf-8"), "{\"a\":\"前\u{fffd}\"}", Some("UTF-8"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_text(bytes in proptest::collection::vec(any::<u8>(), 0..200), label in ".{0,12}") {
            let found = read(&bytes, Some(&label));
            prop_assert!(found.text.len() <= 3 * bytes.len() + 3);
        }
    }
}
