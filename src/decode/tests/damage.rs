//! A real report, cut at every position and damaged at every byte: its alarm is decoded.

use crate::decode::{Body, BodyEnd, Decoded, Hints, decode};
use crate::model::record::SnapshotProblem;

const REQUEST: &[u8] = include_bytes!("../../../tests/wire/vigi-legacy-multipart-motion.http");
const TYPE: &str = "multipart/form-data; boundary=ReportEventBoundary";

/// The body of the request, and where its JSON begins and ends.
fn report() -> (&'static [u8], usize, usize) {
    let head = memchr::memmem::find(REQUEST, b"\r\n\r\n").unwrap() + 4;
    let body = &REQUEST[head..];
    let end = memchr::memmem::find(body, b"]}]}").unwrap() + 4;
    (body, memchr::memchr(b'{', body).unwrap(), end)
}

/// Decodes a body.
fn decoded(bytes: &[u8], content_type: Option<&str>, end: BodyEnd) -> Option<Decoded> {
    let body = Body {
        bytes: bytes.to_vec().into(),
        content_type: content_type.map(Into::into),
        end,
        skipped: 0,
        coding: None,
    };
    decode(&body, &Hints::default()).ok()
}

#[test]
fn a_cut_after_the_json_costs_the_picture_at_most() {
    let (body, _, json) = report();
    let picture = memchr::memmem::find(body, b"\xff\xd9").unwrap() + 2;
    for cut in 0..body.len() {
        let found = decoded(&body[..cut], Some(TYPE), BodyEnd::Truncated);
        assert_eq!(found.is_some(), json <= cut, "{cut}");
        let Some(found) = found else { continue };
        assert_eq!(
            (found.alarms.len(), found.alarms[0].event.as_str(), found.pictures.len()),
            (1, "motion", 1),
            "{cut}"
        );
        let problem = (cut < picture).then_some(SnapshotProblem::Truncated);
        assert_eq!((found.alarms[0].picture, found.pictures[0].problem), (Some(0), problem), "{cut}");
    }
}

#[test]
fn a_damaged_byte_outside_the_json_costs_no_alarm() {
    let (body, start, end) = report();
    for at in (0..start).chain(end..body.len()) {
        for byte in *b"\0\n\r-{\"x \xff" {
            let mut damaged = body.to_vec();
            damaged[at] = byte;
            for header in [Some(TYPE), Some("multipart/form-data"), None] {
                let found = decoded(&damaged, header, BodyEnd::Complete);
                let events: Vec<_> =
                    found.iter().flat_map(|it| &it.alarms).map(|it| it.event.as_str()).collect();
                assert_eq!(events, ["motion"], "{at} {} {header:?}", byte.escape_ascii());
            }
        }
    }
}

#[test]
fn a_damaged_byte_in_the_json_still_makes_an_alarm() {
    let (body, start, end) = report();
    for at in start..end {
        for byte in *b"\0\n{}[]\",:x\xff" {
            let mut damaged = body.to_vec();
            damaged[at] = byte;
            let found = decoded(&damaged, Some(TYPE), BodyEnd::Complete).unwrap();
            // The name of the list itself may be damaged; then nothing shows that there are events, but JSON is
            // present.
            assert!(found.alarms.len() <= 2, "{at}");
            assert_eq!(found.pictures.len(), 1, "{at}");
        }
    }
}
