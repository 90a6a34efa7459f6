//! Properties that hold for any bytes.

use bytes::Bytes;
use proptest::prelude::*;

use crate::decode::carrier::multipart::strict;
use crate::decode::carrier::multipart::{BodyPart, split};
use crate::decode::{Body, BodyEnd, Hints, decode};

/// Text that a boundary may be made of.
const BOUNDARY: &str = "-{0,3}[A-Za-z0-9'()+_,./:=?]{1,12}-{0,2}x";

/// One well-formed part: name, type and content.
type Written = (Option<String>, Option<&'static str>, Vec<u8>, bool);

/// A part, whose content may hold things like its delimiter.
fn part() -> impl Strategy<Value = Written> {
    let piece = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"@".to_vec()),
        1 => Just(b"\r\n@".to_vec()),
        1 => Just(b"\n@x".to_vec()),
        1 => Just(b"{\"event_list\":[]}".to_vec()),
        1 => Just(b"\xff\xd8\xff\xdb".to_vec()),
    ];
    let content = proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    let kind =
        prop_oneof![Just(None), Just(Some("image/jpeg")), Just(Some("application/json; charset=UTF-8"))];
    (proptest::option::of("[a-z0-9]{1,14}"), kind, content, any::<bool>())
}

/// Replaces each `@` by the delimiter: content that looks like one.
fn with_look_alikes(content: &[u8], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in content {
        if *byte == b'@' { out.extend(format!("--{boundary}").bytes()) } else { out.push(*byte) }
    }
    out
}

/// Returns whether content contains a delimiter, so that only its length shows its end.
fn holds_delimiter(content: &[u8], boundary: &str) -> bool {
    let mut lines = content.split(|byte| *byte == b'\n');
    lines.any(|line| {
        let Some(rest) = line.strip_prefix(format!("--{boundary}").as_bytes()) else { return false };
        rest.starts_with(b"--") || rest.trim_ascii().is_empty()
    })
}

/// Writes a body as RFC 7578 says.
fn write(parts: &[Written], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, content, length) in parts {
        let name = name.as_ref().map_or_else(String::new, |name| format!("; name=\"{name}\""));
        out.extend(format!("--{boundary}\r\nContent-Disposition: form-data{name}\r\n").bytes());
        if let Some(kind) = kind {
            out.extend(format!("Content-Type: {kind}\r\n").bytes());
        }
        let content = with_look_alikes(content, boundary);
        if *length || holds_delimiter(&content, boundary) {
            out.extend(format!("Content-Length: {}\r\n", content.len()).bytes());
        }
        out.extend(b"\r\n");
        out.extend(content);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").bytes());
    out
}

/// A received body.
fn body(bytes: Vec<u8>, content_type: Option<String>, end: BodyEnd) -> Body {
    let skipped = if end == BodyEnd::TooLarge { 1_000 } else { 0 };
    Body { bytes: bytes.into(), content_type, end, skipped, coding: None }
}

/// Every way a body may end.
fn end() -> impl Strategy<Value = BodyEnd> {
    prop_oneof![Just(BodyEnd::Complete), Just(BodyEnd::Truncated), Just(BodyEnd::TooLarge)]
}

/// Pieces of real reports, to make damaged ones of.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"--B",
        b"--",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b"Content-Type: ",
        b"application/json",
        b"image/jpeg",
        b"Content-Length: 9",
        b"Content-Disposition: form-data; name=\"event\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\"event_list\"",
        b"\"event_type\"",
        b"\"MOTION\"",
        b"\"messages\"",
        b"\"type\":1",
        b"\"sub_type\":[2]",
        b"\"mac\":\"02-1a-2b-3c-4d-5e\"",
        b"\"extra_text\"",
        b"\"obj_rect_info\"",
        b"\\ud800",
        b"\xff\xd8\xff\xdb",
        b"\xff\xd9",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"1e999",
        b"{\"event_list\":[{\"event_type\":\"PEOPLE\"}]}",
    ];
    let known = proptest::sample::select(known).prop_map(<[u8]>::to_vec);
    prop_oneof![6 => known, 1 => proptest::collection::vec(any::<u8>(), 0..6)]
}

proptest! {
    #[test]
    fn no_well_formed_part_is_lost(boundary in BOUNDARY, parts in proptest::collection::vec(part(), 1..5)) {
        let found = split(&write(&parts, &boundary).into(), &boundary).unwrap();
        prop_assert!(found.closed);
        let expected: Vec<_> =
            parts.iter().map(|(name, _, content, _)| (name.clone(), with_look_alikes(content, &boundary))).collect();
        let found: Vec<_> = found.parts.into_iter().map(|part| (part.name, part.data.to_vec())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn both_parsers_agree_on_what_is_well_formed(
        boundary in BOUNDARY, parts in proptest::collection::vec(part(), 1..5), damage in any::<(u16, u8)>(), damaged in any::<bool>(),
        frame in ("[ a-z]{0,5}(\r\n)?", "[ a-z]{0,5}"),
    ) {
        let mut bytes = [frame.0.as_bytes(), &write(&parts, &boundary), frame.1.as_bytes()].concat();
        let at = usize::from(damage.0) % bytes.len();
        if damaged {
            bytes[at] = damage.1;
        }
        let bytes = Bytes::from(bytes);
        if let Some(parsed) = strict::parse(&bytes, &boundary) {
            // Of a damaged header each may make what it can; the contents are the same.
            let contents = |parts: Vec<BodyPart>| parts.into_iter().map(|part| part.data).collect::<Vec<_>>();
            let found = split(&bytes, &boundary).unwrap().parts;
            prop_assert!(damaged || parsed == found);
            prop_assert_eq!(contents(parsed), contents(found));
        }
    }

    #[test]
    fn tidy_bodies_are_well_formed(boundary in BOUNDARY, mut parts in proptest::collection::vec(part(), 1..5)) {
        parts.iter_mut().for_each(|part| part.2.retain(|byte| !b"@\n{[\xff\xef\xfe\0".contains(byte)));
        prop_assert!(strict::parse(&write(&parts, &boundary).into(), &boundary).is_some());
    }

    #[test]
    fn any_bytes_are_harmless(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), header in proptest::option::of("\\PC{0,40}"), end in end(),
    ) {
        let hints = Hints::default();
        if let Err(error) = decode(&body(bytes, header, end), &hints) {
            prop_assert!(error.to_string().is_ascii());
        }
    }

    #[test]
    fn damaged_reports_are_harmless(
        fragments in proptest::collection::vec(fragment(), 0..40), end in end(), limit in 0_usize..4,
        vendor in proptest::sample::select(vec!["auto", "vigi", "vigi_nvr", "generic", "?"]),
        header in proptest::sample::select(vec!["multipart/form-data; boundary=B", "application/json", "application/x-www-form-urlencoded", ""]),
    ) {
        let hints = Hints { vendor: vendor.into(), alarms_per_report: limit, ..Hints::default() };
        if let Ok(decoded) = decode(&body(fragments.concat(), Some(header.into()), end), &hints) {
            let most = if limit == 0 { 257 } else { limit + 1 };
            prop_assert!(decoded.alarms.len() <= most);
            for alarm in decoded.alarms {
                prop_assert!(alarm.picture.is_none_or(|index| index < decoded.pictures.len()));
                prop_assert!(alarm.event_raw.chars().count() <= 128);
            }
        }
    }
}
