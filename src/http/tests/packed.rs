//! Compressed bodies: their content, their bound, and wrong declarations.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::{Bridge, assert_ok, assert_status};
use crate::config::ByteSize;
use crate::findings::FindingCode;

const REPORT: &[u8] = br#"{"mac":"98-BA-5F-8B-10-03","event_list":[{"event_type":["PEOPLE"]}]}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn request(encoding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /alarm/s3cr3t HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Encoding: {encoding}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn codes(bridge: &Bridge) -> Vec<FindingCode> {
    bridge.findings.list().iter().map(|finding| finding.kind.code).collect()
}

#[tokio::test]
async fn what_is_packed_as_it_says_is_an_alarm_without_a_finding() {
    let bridge = Bridge::new().await;
    for (encoding, body) in [("gzip", gzip(REPORT)), ("deflate", zlib(REPORT)), ("X-GZIP", gzip(REPORT))] {
        let answer = bridge.talk(request(encoding, &body)).await;
        assert_ok(&answer);
        assert!(answer.contains("\"alarms\":1"), "{encoding}: {answer}");
    }
    assert!(codes(&bridge).is_empty(), "{:?}", bridge.findings.list());
}

#[tokio::test]
async fn what_is_declared_wrongly_is_an_alarm_and_a_finding() {
    for (encoding, body) in [
        ("gzip", zlib(REPORT)),
        ("deflate", REPORT.to_vec()),
        ("br", REPORT.to_vec()),
        ("identity", gzip(REPORT)),
    ] {
        let bridge = Bridge::new().await;
        let answer = bridge.talk(request(encoding, &body)).await;
        assert!(answer.contains("\"alarms\":1"), "{encoding}: {answer}");
        let detail = bridge.finding(FindingCode::ContentEncodingWrong).await;
        assert!(detail.contains(encoding), "{detail}");
    }
}

#[tokio::test]
async fn what_cannot_be_unpacked_is_refused_and_named() {
    let bridge = Bridge::new().await;
    assert_status(&bridge.talk(request("br", b"\x1b\x03\x00\xf8\xff")).await, 400);
    assert!(bridge.finding(FindingCode::ContentEncodingWrong).await.contains("neither gzip nor deflate"));
    bridge.finding(FindingCode::NotUnderstood).await;
}

#[tokio::test]
async fn a_maker_that_declares_plain_text_as_deflate_raises_nothing() {
    let bridge = Bridge::new().await;
    let answer = bridge.talk(request("deflate", b"Code=VideoMotion;action=Start;index=0")).await;
    assert!(answer.contains("\"alarms\":1"), "{answer}");
    assert!(!codes(&bridge).contains(&FindingCode::ContentEncodingWrong), "{:?}", codes(&bridge));
}

#[tokio::test]
async fn a_bomb_is_unpacked_to_the_bound_and_no_further() {
    let bridge = Bridge::limited(|limits| limits.body_bytes = ByteSize(100_000)).await;
    let bomb = gzip(&vec![b' '; 200_000_000]);
    assert_status(&bridge.talk(request("gzip", &bomb[..bomb.len().min(99_000)])).await, 413);
    let report = [REPORT, &vec![b' '; 5_000_000]].concat();
    let answer = bridge.talk(request("gzip", &gzip(&report))).await;
    assert!(answer.contains("\"alarms\":1"), "{answer}");
    bridge.finding(FindingCode::BodyTooLarge).await;
}
