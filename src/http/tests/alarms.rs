//! Alarms from the socket into a real outbox.

use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::{Bridge, PATIENCE, Setup, assert_ok, assert_status, rest};
use crate::config::ByteSize;
use crate::findings::FindingCode;
use crate::model::Record;
use crate::model::record::{AlarmRecord, SnapshotProblem};

/// The camera's older JSON format.
fn json(mac: &str) -> String {
    format!(
        r#"{{"ip":"192.168.0.101","mac":"{mac}","protocol":"HTTP","device_name":"Front door","event_list":[{{"dateTime":"20261005150501","event_type":["PEOPLE","MOTION"]}}]}}"#
    )
}

const MAC: &str = "98-ba-5f-8b-10-03";

/// JPEG of random bytes, as large as a real picture.
fn jpeg() -> Vec<u8> {
    let (mut made, mut seed) = (Vec::new(), 1_u32);
    let pixels: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    })
    .take(640 * 480)
    .collect();
    let encoder = jpeg_encoder::Encoder::new(&mut made, 90);
    encoder.encode(&pixels, 640, 480, jpeg_encoder::ColorType::Luma).unwrap();
    made
}

fn part(name: &str, kind: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--ReportEventBoundary\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n"].concat()
}

/// The camera's multipart format, optionally with the picture first.
fn multipart(picture_first: bool) -> Vec<u8> {
    let event = part("event", "application/json", json(MAC).as_bytes());
    let picture = part("20261005150501", "image/jpeg", &jpeg());
    let parts = if picture_first { [picture, event] } else { [event, picture] };
    [&parts.concat()[..], b"--ReportEventBoundary--\r\n"].concat()
}

fn request(headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /alarm/s3cr3t HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn push(body: &[u8]) -> Vec<u8> {
    let kind = "Content-Type: multipart/form-data; boundary=ReportEventBoundary\r\n";
    request(kind, body.len(), body)
}

/// Waits until this number of alarms is committed.
async fn committed(bridge: &Bridge, count: usize) -> Vec<AlarmRecord> {
    let (mut tip, mut reader) = (bridge.outbox.tip(), bridge.outbox.reader());
    let wait = async {
        loop {
            let entries = reader.entries_after(0, 1_000).unwrap();
            let alarms: Vec<AlarmRecord> = entries
                .iter()
                .filter_map(|entry| match &entry.record {
                    Record::Alarm(alarm) => Some((**alarm).clone()),
                    Record::Activity(_) => None,
                })
                .collect();
            if alarms.len() >= count {
                return alarms;
            }
            tip.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, wait).await.expect("a commit")
}

#[tokio::test]
async fn an_alarm_is_committed_before_it_is_answered() {
    let bridge = Bridge::new().await;
    let answer = bridge.talk(push(&multipart(false))).await;
    assert_ok(&answer);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let said: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&said["ok"], &said["alarms"], &said["durable"]), (&true.into(), &2.into(), &true.into()));
    let alarms = committed(&bridge, 2).await;
    let ids: Vec<String> = alarms.iter().map(|alarm| alarm.id.to_string()).collect();
    assert_eq!(said["ids"], serde_json::json!(ids));
    let events: Vec<String> = alarms.iter().map(|alarm| alarm.event.to_string()).collect();
    assert_eq!(events, ["motion", "person"]);
    let snapshot = alarms[1].snapshot.as_ref().unwrap();
    assert_eq!((snapshot.bytes, snapshot.problem), (jpeg().len() as u64, None));
    assert!(snapshot.picture.is_some());
}

#[tokio::test]
async fn a_connection_cut_in_mid_picture_still_makes_its_alarms() {
    let bridge = Bridge::new().await;
    let whole = multipart(false);
    let mut peer = bridge.connect().await;
    peer.write_all(&request("", whole.len(), &whole[..whole.len() / 2])).await.unwrap();
    bridge.open(1).await;
    // Everything sent must be read before the reset, which discards unread bytes in the kernel.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    peer.set_zero_linger().unwrap();
    drop(peer);
    let alarms = committed(&bridge, 2).await;
    assert_eq!(alarms[0].snapshot.as_ref().unwrap().problem, Some(SnapshotProblem::Truncated));
    bridge.finding(FindingCode::BodyTruncated).await;
}

#[tokio::test]
async fn a_peer_that_is_gone_before_the_answer_loses_nothing() {
    let bridge = Bridge::new().await;
    for _ in 0..20 {
        let mut peer = bridge.connect().await;
        peer.write_all(&request("", json(MAC).len(), json(MAC).as_bytes())).await.unwrap();
        peer.shutdown().await.unwrap();
        drop(peer);
    }
    assert_eq!(committed(&bridge, 40).await.len(), 40);
}

#[tokio::test]
async fn a_late_picture_is_answered_without_it() {
    let bridge = Bridge::limited(|limits| limits.body_seconds = 1).await;
    let whole = multipart(false);
    assert_ok(&bridge.talk(request("", whole.len(), &whole[..whole.len() / 2])).await);
    let alarms = committed(&bridge, 2).await;
    assert_eq!(alarms[0].snapshot.as_ref().unwrap().problem, Some(SnapshotProblem::Truncated));
    assert!(bridge.finding(FindingCode::BodyTruncated).await.contains("after 1 s"));
}

#[tokio::test]
async fn json_behind_a_picture_over_the_bound_is_found() {
    for picture_first in [true, false] {
        let bridge = Bridge::limited(|limits| limits.body_bytes = ByteSize(60_000)).await;
        assert!(multipart(picture_first).len() > 80_000);
        assert_ok(&bridge.talk(push(&multipart(picture_first))).await);
        let alarms = committed(&bridge, 2).await;
        assert_eq!(alarms[0].snapshot.as_ref().unwrap().problem, Some(SnapshotProblem::TooLarge));
    }
}

#[tokio::test]
async fn chunked_and_expecting_senders_are_understood() {
    let bridge = Bridge::new().await;
    let mut chunked = b"POST /alarm/s3cr3t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in multipart(true).chunks(5_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_ok(&bridge.talk(chunked).await);
    let answer =
        bridge.talk(request("Expect: 100-continue\r\n", json(MAC).len(), json(MAC).as_bytes())).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
    committed(&bridge, 4).await;
}

#[tokio::test]
async fn the_rate_on_a_right_path_costs_pictures_and_no_alarm() {
    let bridge = Bridge::limited(|limits| limits.requests_per_second = 1).await;
    for _ in 0..3 {
        assert_ok(&bridge.talk(push(&multipart(false))).await);
    }
    let alarms = committed(&bridge, 6).await;
    let problem = |at: usize| alarms[at].snapshot.as_ref().unwrap().problem;
    assert_eq!((problem(0), problem(2)), (None, Some(SnapshotProblem::Limited)));
    bridge.finding(FindingCode::Limited).await;
}

#[tokio::test]
async fn a_picture_alone_is_an_alarm_of_the_peer_that_a_proxy_forwards() {
    let setup = Setup { proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Setup::default() };
    let bridge = Bridge::start(setup).await;
    let headers = "X-Forwarded-For: 6.6.6.6, 192.168.0.7\r\nContent-Type: image/jpeg\r\n";
    assert_ok(&bridge.talk(request(headers, jpeg().len(), &jpeg())).await);
    let alarms = committed(&bridge, 1).await;
    assert_eq!(
        (alarms[0].event.to_string(), alarms[0].source.to_string()),
        ("unknown".into(), "ip-192-168-0-7".into())
    );
}

#[tokio::test]
async fn three_devices_behind_one_address_are_a_finding() {
    let bridge = Bridge::new().await;
    for last in 1..=3 {
        let body = json(&format!("98-ba-5f-8b-10-0{last}"));
        assert!(bridge.findings.list().iter().all(|finding| finding.kind.code != FindingCode::SharedAddress));
        assert_ok(&bridge.talk(request("", body.len(), body.as_bytes())).await);
    }
    bridge.finding(FindingCode::SharedAddress).await;
}

#[tokio::test]
async fn requests_are_kept_without_their_secrets() {
    let bridge = Bridge::new().await;
    let headers = "Authorization: Basic c2VjcmV0\r\nReferer: http://h/alarm/s3cr3t\r\n";
    assert_ok(&bridge.talk(request(headers, json(MAC).len(), json(MAC).as_bytes())).await);
    assert_status(&bridge.talk(request("", 8, b"nonsense")).await, 400);
    assert_status(&bridge.post("/alarm/s3cr3").await, 404);
    bridge.outbox.flush().await.unwrap();
    let kept = rusqlite::Connection::open(bridge.folder.path().join("outbox.db")).unwrap();
    let mut rows = kept.prepare("SELECT head, status FROM request ORDER BY status").unwrap();
    let rows: Vec<(String, u16)> =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), [200, 400, 404]);
    assert!(
        rows[0]
            .0
            .starts_with("POST /alarm/*** HTTP/1.1\r\nhost: h\r\nauthorization: ***\r\nreferer: ***\r\n")
    );
    assert!(rows.iter().all(|row| !row.0.contains("s3cr") && !row.0.contains("c2Vj")), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_cameras_at_once() {
    let bridge = Arc::new(Bridge::limited(|limits| limits.body_memory_bytes = ByteSize(1 << 20)).await);
    let body = Arc::new(push(&multipart(false)));
    let cameras = (0..64).map(|_| {
        let (bridge, body) = (Arc::clone(&bridge), Arc::clone(&body));
        tokio::spawn(async move { bridge.talk(&*body).await })
    });
    for answer in futures_util::future::join_all(cameras).await {
        assert_ok(&answer.unwrap());
    }
    assert_eq!(committed(&bridge, 128).await.len(), 128);
    let mut last = bridge.connect().await;
    last.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_status(&rest(&mut last).await, 404);
}
