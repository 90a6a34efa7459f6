//! Text in whatever encoding a device writes it. A byte that cannot be read costs a character, never the event.

use std::borrow::Cow;

use encoding_rs::{Encoding, GBK, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Text, and what had to be done to get it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text<'b> {
    /// The characters; bytes that are none are U+FFFD.
    pub(super) text: Cow<'b, str>,
    /// The encoding that was found, when it is not the UTF-8 that JSON is to be in.
    pub(super) repaired: Option<&'static str>,
}

/// Reads bytes as text: a byte order mark or UTF-16's NULs decide, then UTF-8 if it is that, then the announced
/// charset, then what the bytes look like. Encoding of names is unproved on real devices (WIRE 1.3).
pub(super) fn read<'b>(bytes: &'b [u8], announced: Option<&str>) -> Text<'b> {
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

/// The likeliest encoding of bytes that are not UTF-8 as a whole: damaged UTF-8 if most of it is that, Chinese if
/// every pair of high bytes is a common Chinese character, else Latin.
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

/// Whether all high bytes come in pairs that GB2312 knows.
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
