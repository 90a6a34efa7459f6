//! Bodies made to be slow or large in memory. At this size, a quadratic scan would not end.

use crate::decode::{Body, BodyEnd, DecodeError, Decoded, Hints, decode};
use crate::findings::FindingCode;

/// Length of each body in bytes.
const SIZE: usize = 512 << 10;

/// Repeats a piece up to the size, between a beginning and an end.
fn repeated(beginning: &str, piece: &str, end: &str) -> Vec<u8> {
    [beginning, &piece.repeat(SIZE / piece.len()), end].concat().into_bytes()
}

/// Decodes a body of this type.
fn decoded(bytes: Vec<u8>, content_type: &str) -> Result<Decoded, DecodeError> {
    let body = Body {
        bytes: bytes.into(),
        content_type: Some(content_type.into()),
        end: BodyEnd::Complete,
        skipped: 0,
        coding: None,
    };
    decode(&body, &Hints::default())
}

#[test]
fn multipart_bodies() {
    let kind = "multipart/form-data; boundary=B";
    let dashes = format!("multipart/form-data; boundary={}", "-".repeat(70));
    let json = "--B\r\n\r\n{\"event_list\":[{\"event_type\":\"MOTION\"}]}\r\n";
    for (beginning, piece) in [
        ("", "--B\r\n"),
        ("", "--B--\r\n"),
        ("", "--Bx"),
        ("", "\n--Bx"),
        ("", "\n"),
        ("--B\r\n", "A: b\r\n"),
        ("--B\r\n", "\r\n"),
        ("--B", " "),
        ("--B\r\n\r\n", "\n--B "),
        ("--B\r\nContent-Length: 9\r\n\r\n", "\r\n--"),
        ("", "--B\r\nContent-Length: 9999\r\n\r\n"),
    ] {
        for body in [repeated(beginning, piece, ""), repeated(&format!("{json}{beginning}"), piece, json)] {
            let carries = body.starts_with(json.as_bytes());
            assert_eq!(decoded(body, kind).is_ok(), carries, "{beginning:?} {piece:?}");
        }
    }
    assert!(decoded(repeated("", "-", ""), &dashes).is_err());
    assert!(decoded(repeated("--B\r\n", "-", ""), "text/plain").is_err());
}

#[test]
fn json_bodies() {
    for (beginning, piece) in [
        ("", "{"),
        ("", "{ "),
        ("", "["),
        ("", "{\"a\":"),
        ("", "[{"),
        ("", "{\"a\" "),
        ("{\"a\":\"", "\\u"),
        ("{", "\""),
        ("", "{ \n"),
    ] {
        assert!(
            decoded(repeated(beginning, piece, ""), "application/json").is_err(),
            "{beginning:?} {piece:?}"
        );
    }
    for (beginning, piece, end) in [
        ("", "{}", ""),
        ("", "[]", ""),
        ("", " ", "{}"),
        ("{\"event_list\":", " ", "[]}"),
        ("{\"event_list\":[", "0,", "0]}"),
        ("{\"event_list\":[", "{},", "{}]}"),
        ("{\"event_list\":[", "{\"event_type\":\"A\"},", "0]}"),
        ("{\"event_list\":[{\"event_type\":[", "\"A,B;\",", "0]}]}"),
        ("{\"messages\":[{\"type\":1,\"sub_type\":[", "9,", "0]}]}"),
        ("{\"event_list\":[{\"extra_text\":[", "{\"region_id\":[7]},", "0]}]}"),
        ("{\"event_list\":[0],\"x\":{", "\"a\":1,", "\"b\":1e999}}"),
        ("{\"event_list\":[0],\"x\":\"", "\\ud800", "\"}"),
    ] {
        let found = decoded(repeated(beginning, piece, end), "application/json").unwrap();
        assert!(found.alarms.len() <= 257, "{piece:?}");
    }
}

#[test]
fn trees_of_makers_that_are_data() {
    for (kind, beginning, piece, end) in [
        ("application/json", "{\"alarm\":{\"triggers\":[", "{\"key\":\"x\"},", "{\"key\":\"x\"}]}}"),
        ("application/json", "{\"Events\":[{\"Code\":\"A\",\"Action\":\"Start\"},", "{},", "{}]}"),
        ("application/json", "{\"Code\":\"A\",\"Action\":\"Start\",\"Data\":[", "{\"a\":1},", "0]}"),
        ("application/xml", "<EventNotificationAlert><eventType>A</eventType>", "<ANPR>", ""),
        ("application/xml", "<EventNotificationAlert><eventType>A</eventType>", "<ANPR/>", ""),
        ("application/xml", "<config><smartType>A</smartType><listInfo>", "<item><x/></item>", ""),
        ("text/plain", "Code=A;action=Start;data={", "\"a\":1,", "}"),
        ("text/plain", "Events[0].Code=A\nEvents[0].Action=Start\n", "Events[1].Code=A\n", ""),
    ] {
        let found = decoded(repeated(beginning, piece, end), kind);
        assert!(found.is_ok_and(|found| found.alarms.len() <= 257), "{beginning:?} {piece:?}");
    }
}

#[test]
fn many_documents_are_kept_within_one_bound() {
    let document = format!("{{\"x\":[{}0]}}", "0,".repeat(60_000));
    let found = decoded(document.repeat(20).into_bytes(), "application/json").unwrap();
    assert_eq!((found.alarms.len(), found.problems[0].code), (7, FindingCode::JsonRepaired));
    let part = format!("--B\r\n\r\n{document}\r\n");
    let found = decoded(part.repeat(20).into_bytes(), "multipart/form-data; boundary=B").unwrap();
    assert_eq!((found.alarms.len(), found.problems[0].code), (7, FindingCode::JsonRepaired));
}

#[test]
fn many_kinds_and_a_long_extra() {
    let types: Vec<String> = (0..100_000).map(|number| format!("\"K{number}\"")).collect();
    let extra = "x".repeat(SIZE);
    let body = format!("{{\"note\":\"{extra}\",\"event_list\":[{{\"event_type\":[{}]}}]}}", types.join(","));
    let found = decoded(body.into_bytes(), "application/json").unwrap();
    assert_eq!((found.alarms.len(), found.alarms[256].extra["dropped"].as_u64()), (257, Some(99_744)));
    assert!(found.alarms[..256].iter().all(|alarm| alarm.extra.is_empty() && alarm.truncated));
}

#[test]
fn text_in_other_encodings() {
    for piece in ["\u{e9}", "{\u{e9}", "\0{"] {
        let latin: Vec<u8> = repeated("", piece, "").into_iter().filter(|byte| *byte != 0xc3).collect();
        assert!(decoded(latin, "application/json; charset=gbk").is_err(), "{piece:?}");
    }
}

/// Pieces whose repetition may cost a look at all bytes, or a level of the stack, for each of them.
const PIECES: [&str; 40] = [
    "{",
    "[",
    "\"",
    "\\",
    "<",
    "<a>",
    "<a ",
    "<a b=\"",
    "</a>",
    "<!--",
    "<![CDATA[",
    "<!DOCTYPE a [",
    "<a/><!",
    "&",
    "&amp;",
    "&#",
    "a=&",
    "a=1;",
    "a=1\n",
    "data={};",
    "Code=1;data={};",
    "Code=1;data={\n",
    "Code=1;data={\"a\"\n",
    "Code=1\nA[1023].b=1\n",
    "a.a.a.a.a.a.a.a.b=1\n",
    "a[0][0][0][0]=1\n",
    "x\n",
    ";",
    "= ",
    "%7B%22",
    "password=",
    "\"password\" \"value\" ",
    "{\"token\":\"",
    "{\"a\":\"{\\\"a\\\":",
    "--B\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"a\":1}\r\n",
    "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n",
    "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n<a><b>1</b></a>\r\n",
    "data=%7B%22a%22%3A1%7D&",
    "data=%3Ca%3E%3Cb/%3E&",
    "\u{0}<",
];

/// Processor time that this thread has used, in seconds; other work on the machine does not count.
fn used_seconds() -> u64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    statistics.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<u64>().ok()).unwrap_or(0)
        / 1_000_000_000
}

#[test]
fn a_body_of_anything_takes_little_stack_and_time() {
    let run = || {
        for piece in PIECES {
            let body = piece.repeat((SIZE / 4) / piece.len());
            for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"]
            {
                let begun = used_seconds();
                let _decoded = decoded(body.clone().into_bytes(), kind);
                let took = used_seconds() - begun;
                assert!(took < 10, "{piece:?} as {kind} took {took} s");
            }
        }
    };
    // The stack of a thread of the bridge.
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}
