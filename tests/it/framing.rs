//! Framing of requests: bodies without a length, pipelined requests, and bytes that belong to none. Nothing of them
//! is answered 200 and lost.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::alarms::{jpeg, report};
use crate::support::web::get;
use crate::support::{Bridge, Camera, SOON, eventually};

/// All responses to these bytes; `half`: the client closes its sending side.
async fn answers(camera: &Camera, bytes: &[u8], half: bool) -> String {
    let mut stream = camera.connect().await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if half {
        stream.shutdown().await.unwrap();
    }
    to_the_end(&mut stream).await
}

async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _reset = tokio::time::timeout(SOON, stream.read_to_end(&mut all)).await.expect("it closes");
    String::from_utf8_lossy(&all).into_owned()
}

/// Statuses in a row of answers.
fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.split(' ').nth(1)).collect()
}

/// Returns whether a finding of this code exists.
async fn has_finding(bridge: &Bridge, code: &str) -> bool {
    let findings = get(bridge.admin(), "/api/v1/findings", &[]).await.json();
    findings["findings"].as_array().is_some_and(|all| all.iter().any(|finding| finding["code"] == code))
}

async fn finding(bridge: &Bridge, code: &str) {
    eventually(SOON, code, async || has_finding(bridge, code).await.then_some(())).await;
}

/// A request with a camera's report, with additional header lines.
fn request(camera: &Camera, version: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {} HTTP/{version}\r\nHost: h\r\n{lines}\r\n", camera.path);
    [head.as_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_is_taken_up_to_the_end_of_the_connection() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let json = report(1, "PEOPLE").to_string().into_bytes();
    for (version, half) in [("1.0", true), ("1.1", true), ("1.0", false), ("1.1", false)] {
        let bytes = request(&camera, version, "Content-Type: application/json\r\n", &json);
        let answer = answers(&camera, &bytes, half).await;
        assert_eq!(statuses(&answer), ["200"], "{answer}");
        assert!(answer.contains("\"alarms\":1"), "HTTP/{version}, {half}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
    finding(&bridge, "body_without_length").await;
    let rows = get(bridge.admin(), "/api/v1/requests", &[]).await.json();
    let no = rows["requests"][0]["no"].clone();
    let kept: Value = get(bridge.admin(), &format!("/api/v1/requests/{no}"), &[]).await.json();
    let head = kept["head"].as_str().unwrap();
    assert!(!head.to_ascii_lowercase().contains("chunked"), "the head is shown as received: {head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_without_a_length_comes_in_pieces_and_is_whole() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let full = String::from_utf8_lossy(&camera.multipart_request(&report(1, "PEOPLE"), b"")).into_owned();
    assert!(full.contains("Content-Length"));
    let framed = camera.multipart_request(&report(1, "PEOPLE"), &jpeg(300_000));
    let end = framed.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head: String = String::from_utf8_lossy(&framed[..end])
        .lines()
        .filter(|line| !line.starts_with("Content-Length"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let mut stream = camera.connect().await.unwrap();
    for piece in [head.as_bytes(), b"\r\n"].into_iter().chain(framed[end + 4..].chunks(50_000)) {
        stream.write_all(piece).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    stream.shutdown().await.unwrap();
    let answer = to_the_end(&mut stream).await;
    assert!(answer.contains("\"alarms\":1"), "{answer}");
    let alarms = get(bridge.admin(), "/api/v1/alarms", &[]).await.json();
    assert!(alarms["alarms"][0]["picture"].is_string(), "{alarms}");
    assert!(!has_finding(&bridge, "body_truncated").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_post_without_a_length_is_answered_as_one() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    for (version, half) in [("1.0", false), ("1.0", true), ("1.1", true)] {
        let answer = answers(&camera, &request(&camera, version, "", b""), half).await;
        assert!(answer.contains(" 200 ") && answer.contains("\"alarms\":0"), "{answer}");
    }
    assert!(!has_finding(&bridge, "body_without_length").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_one_behind_the_other_are_all_answered() {
    let bridge = Bridge::start("").await;
    let camera = bridge.camera();
    let json = report(1, "PEOPLE").to_string();
    let length = format!("Content-Length: {}\r\n", json.len());
    let of =
        |version: &str, lines: &str| request(&camera, version, &format!("{length}{lines}"), json.as_bytes());
    for (one, expected) in [
        (of("1.1", ""), 3),
        (of("1.1", "Connection: keep-alive\r\n"), 3),
        (of("1.0", "Connection: keep-alive\r\n"), 3),
        (of("1.1", "Connection: Close\r\n"), 1),
        (of("1.0", ""), 1),
    ] {
        let all = answers(&camera, &one.repeat(3), true).await;
        let text = String::from_utf8_lossy(&one).into_owned();
        assert_eq!(all.matches("\"alarms\":1").count(), expected, "{text}: {all}");
        assert_eq!(has_finding(&bridge, "bytes_behind_request").await || expected == 1, expected == 1);
    }
    finding(&bridge, "bytes_behind_request").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_short_length_are_a_finding() {
    for lines in ["", "Connection: close\r\n"] {
        let bridge = Bridge::start("").await;
        let camera = bridge.camera();
        let json = report(1, "PEOPLE").to_string();
        let lines = format!("Content-Length: 0\r\n{lines}");
        let all = answers(&camera, &request(&camera, "1.1", &lines, json.as_bytes()), true).await;
        assert!(statuses(&all)[0] == "200" && all.contains("\"alarms\":0"), "{all}");
        finding(&bridge, "bytes_behind_request").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_kept_open_is_bounded_and_holds_up_no_stop() {
    let mut bridge = Bridge::start("[limits]\nheader_seconds = 60").await;
    let camera = bridge.camera();
    let json = report(1, "PEOPLE").to_string();
    let one = request(&camera, "1.1", &format!("Content-Length: {}\r\n", json.len()), json.as_bytes());
    let all = answers(&camera, &one, false).await;
    assert_eq!(statuses(&all), ["200"], "who reads to the end gets an end soon: {all}");
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut stream = bridge.camera().connect().await.unwrap();
        stream.write_all(&one).await.unwrap();
        let mut space = [0; 4_096];
        assert!(stream.read(&mut space).await.unwrap() > 0);
        open.push(stream);
    }
    let stopping = tokio::time::Instant::now();
    assert!(bridge.terminate().await.success());
    assert!(stopping.elapsed() < std::time::Duration::from_secs(3), "{:?}", stopping.elapsed());
}
