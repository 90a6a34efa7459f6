//! Bodies: bounds, ends, memory.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::{Bridge, assert_ok, assert_status, rest};
use crate::config::ByteSize;
use crate::findings::FindingCode;

fn head(length: usize) -> String {
    format!("POST /alarm/s3cr3t HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

#[tokio::test]
async fn bytes_that_are_no_alarm_are_refused_with_a_reason() {
    let bridge = Bridge::new().await;
    let answer = bridge.talk(format!("{}nonsense", head(8))).await;
    assert_status(&answer, 400);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(json["type"] == "about:blank" && json["detail"].is_string() && json["remedy"].is_string());
    bridge.finding(FindingCode::NotUnderstood).await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_taken_as_far_as_it_came() {
    let bridge = Bridge::new().await;
    let mut peer = bridge.connect().await;
    peer.write_all(format!("{}{{\"a\":", head(500)).as_bytes()).await.unwrap();
    peer.shutdown().await.unwrap();
    let wait = bridge.finding(FindingCode::BodyTruncated).await;
    assert!(wait.contains("broke"), "{wait}");
}

#[tokio::test]
async fn a_slow_body_ends_with_its_time() {
    let bridge = Bridge::limited(|limits| limits.body_seconds = 1).await;
    assert_status(&bridge.talk(format!("{}{{\"a\":", head(500))).await, 408);
    assert!(bridge.finding(FindingCode::BodyTruncated).await.contains("after 1 s"));
    assert_status(&bridge.talk(format!("{}nonsense", head(500))).await, 408);
    assert_status(&bridge.talk(head(500)).await, 408);
}

#[tokio::test]
async fn past_the_bound_reading_goes_on_and_the_answer_arrives() {
    let bridge = Bridge::limited(|limits| limits.body_bytes = ByteSize(100_000)).await;
    for (first, length, status) in [("{}", 300_000, 200), ("x", 300_000, 413), ("{}", 3_000_000, 200)] {
        let mut body = vec![b' '; length];
        body[..first.len()].copy_from_slice(first.as_bytes());
        let answer = bridge.talk([head(length).as_bytes(), &body].concat()).await;
        assert_status(&answer, status);
    }
    let chunked = "POST /alarm/s3cr3t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("ffff\r\n{}\r\n", " ".repeat(0xffff)).repeat(4);
    assert_ok(&bridge.talk(format!("{chunked}2\r\n{{}}\r\n{chunks}0\r\n\r\n")).await);
}

#[tokio::test]
async fn a_body_waits_for_memory_but_not_for_one_that_does_not_come() {
    let bridge = Bridge::limited(|limits| {
        limits.body_memory_bytes = ByteSize(100_000);
        limits.body_seconds = 4;
    })
    .await;
    let mut first = bridge.connect().await;
    first.write_all(format!("{}{{{}", head(80_000), " ".repeat(20_000)).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let small = format!("{}{{}}{}", head(8_000), " ".repeat(7_998));
    assert_ok(&timeout(Duration::from_secs(1), bridge.talk(small)).await.expect("it needs none"));
    let begun = tokio::time::Instant::now();
    let mut second = Box::pin(bridge.talk(format!("{}{{}}{}", head(20_000), " ".repeat(19_998))));
    assert!(timeout(Duration::from_millis(300), &mut second).await.is_err(), "it waits");
    assert_status(&rest(&mut first).await, 408);
    assert_ok(&second.await);
    assert!(begun.elapsed() < Duration::from_secs(3), "not for its whole time: {:?}", begun.elapsed());
    assert!(bridge.finding(FindingCode::BodyTruncated).await.contains("others waited"));
    let late = bridge
        .findings
        .list()
        .iter()
        .filter(|of| of.kind.code == FindingCode::BodyTruncated)
        .map(|of| of.count)
        .sum::<u64>();
    assert_eq!(late, 1, "only the first was late: {:?}", bridge.findings.list());
}

/// The picture is lost to those who wait, and not the alarm behind it.
#[tokio::test]
async fn a_slow_body_gives_its_memory_back_and_keeps_the_alarm_behind_its_picture() {
    let bridge = Bridge::limited(|limits| {
        limits.body_memory_bytes = ByteSize(100_000);
        limits.body_seconds = 8;
    })
    .await;
    let picture = [b"--B\r\ncontent-type: image/jpeg\r\n\r\n\xff\xd8\xff\xdb", &[7; 60_000][..]].concat();
    let alarm = b"\r\n--B\r\n\r\n{}\r\n--B--\r\n";
    let (came, late) = picture.split_at(20_000);
    let head = format!(
        "POST /alarm/s3cr3t HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n\r\n",
        picture.len() + alarm.len()
    );
    let mut slow = bridge.connect().await;
    slow.write_all(&[head.as_bytes(), came].concat()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let other = format!("{}{{}}{}", self::head(50_000), " ".repeat(49_998));
    assert_ok(
        &timeout(Duration::from_secs(6), bridge.talk(other))
            .await
            .expect("it need not wait for the slow one"),
    );
    slow.write_all(&[late, alarm].concat()).await.unwrap();
    assert_ok(&rest(&mut slow).await);
    let finding = bridge.finding(FindingCode::BodyTruncated).await;
    assert!(finding.contains("others waited") && finding.contains("without its picture"), "{finding}");
}

#[tokio::test]
async fn limits_change_while_running() {
    let bridge = Bridge::new().await;
    let mut limits = (**bridge.limits.load()).clone();
    limits.body_bytes = ByteSize(10);
    bridge.limits.store(limits.into());
    assert_status(&bridge.talk(format!("{}{}", head(20), "x".repeat(20))).await, 413);
}
