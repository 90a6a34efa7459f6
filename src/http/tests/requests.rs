//! Paths, methods, keep-alive, and the 404 that is the same for every cause.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Bridge, Setup, assert_ok, assert_status, one_answer, rest};
use crate::findings::FindingCode;

#[tokio::test]
async fn odd_targets_reach_the_webhook() {
    let bridge = Bridge::new().await;
    for target in [
        "/alarm/s3cr3t",
        "//alarm/s3cr3t",
        "/alarm//s3cr3t/",
        "alarm/s3cr3t",
        "/alarm/s3cr3t?channel=1",
        "/alarm/s3cr3t?",
        "http://bridge:8089/alarm/s3cr3t",
        "HTTP://bridge/alarm/s3cr3t",
        "/alarm/%733cr3t",
        "/alarm/s3cr3t#x",
    ]
    .into_iter()
    .filter(|target| !target.contains('#'))
    {
        assert_ok(&bridge.post(target).await);
    }
    for target in ["/", "", "*", "/alarm", "/alarm/s3cr3t/x", "/alarm/S3CR3T", "/ala rm", "/alarm/s3cr3t#x"] {
        assert_status(&bridge.post(target).await, 404);
    }
}

#[tokio::test]
async fn a_path_without_any_slash_is_a_path() {
    let mut setup = Setup::default();
    setup.webhook.path = Some(crate::config::Secret::new("alarm"));
    let bridge = Bridge::start(setup).await;
    for target in ["alarm", "/alarm", "//alarm/"] {
        assert_ok(&bridge.post(target).await);
    }
}

#[tokio::test]
async fn odd_requests_are_understood() {
    let bridge = Bridge::new().await;
    for request in [
        "POST /alarm/s3cr3t HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
        "POST /alarm/s3cr3t HTTP/1.1\nContent-Length: 2\n\n{}",
        "\r\n\r\nPOST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "PUT /alarm/s3cr3t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        "POST /alarm/s3cr3t HTTP/1.1\r\nX: \u{e9}\r\nContent-Length: 2\r\n\r\n{}",
        "POST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "POST /alarm/s3cr3t HTTP/1.1\r\n\r\n",
    ] {
        let answer = bridge.talk(request).await;
        assert!(answer.contains(" 200 OK\r\n"), "{request:?}: {answer}");
        assert!(answer.ends_with("{\"ok\":true,\"alarms\":0,\"ids\":[],\"durable\":true}\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_request_sent_byte_by_byte_is_understood() {
    let bridge = Bridge::new().await;
    let mut peer = bridge.connect().await;
    peer.set_nodelay(true).unwrap();
    for byte in b"POST alarm/s3cr3t HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}" {
        peer.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_ok(&rest(&mut peer).await);
}

#[tokio::test]
async fn every_404_has_the_same_bytes() {
    let mut setup = Setup::default();
    setup.webhook.allow = vec!["10.0.0.0/8".parse().unwrap()];
    let closed = Bridge::start(setup).await;
    let open = Bridge::new().await;
    let wrong = open.post("/alarm/other").await;
    assert_status(&wrong, 404);
    assert!(wrong.contains("connection: close\r\n") && !wrong.to_lowercase().contains("date:"));
    let (_, body) = wrong.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["status"], 404);
    assert_eq!(closed.post("/alarm/s3cr3t").await, wrong, "peer not allowed");
    assert_eq!(open.talk("DELETE /alarm/s3cr3t HTTP/1.1\r\nHost: h\r\n\r\n").await, wrong, "wrong method");
    assert_eq!(open.talk("GET /favicon.ico HTTP/1.1\r\nHost: h\r\n\r\n").await, wrong, "GET elsewhere");
    let keep = "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(open.talk(keep).await, wrong, "asked to keep");
    let big =
        [b"POST /x HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n".as_slice(), &vec![7; 3_000_000]].concat();
    assert_eq!(open.talk(big).await, wrong, "a large body is read, so that the answer arrives");
    let expect = "POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(open.talk(expect).await, wrong, "waits for 100 Continue");
    assert_eq!(
        closed.finding(FindingCode::PeerNotAllowed).await,
        "127.0.0.1 is not in `allow` of webhook webhook-1"
    );
    assert!(open.finding(FindingCode::WrongMethod).await.contains("DELETE"));
}

#[tokio::test]
async fn a_wrong_path_says_what_is_wrong_with_it_and_never_shows_it() {
    let bridge = Bridge::new().await;
    for (target, hint) in
        [("/alarm/S3cr3t", "case only"), ("/alarm/s3cr", "cut short"), ("/alarm/zzz", "secret part")]
    {
        assert_status(&bridge.post(target).await, 404);
        assert!(bridge.finding(FindingCode::WrongPath).await.contains(hint), "{target}");
    }
    let all = format!("{:?}", bridge.findings.list());
    assert!(!all.contains("s3cr") && !all.contains("zzz"), "{all}");
}

#[tokio::test]
async fn people_see_a_page_without_the_secret() {
    let bridge = Bridge::new().await;
    let page = bridge.talk("GET /alarm/s3cr3t HTTP/1.1\r\nHost: bridge:8089\r\n\r\n").await;
    assert_ok(&page);
    assert!(
        page.contains("This URL is right") && page.contains("<code>8089</code>") && !page.contains("s3cr3t")
    );
    let head = bridge.talk("HEAD /alarm/s3cr3t HTTP/1.1\r\nHost: bridge:8089\r\n\r\n").await;
    assert_ok(&head);
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn the_connection_is_kept_as_http_has_it() {
    let bridge = Bridge::new().await;
    let ask = "POST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    let last = "POST /alarm/s3cr3t HTTP/1.1\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\n{}";
    let mut peer = bridge.connect().await;
    for _ in 0..3 {
        peer.write_all(ask.as_bytes()).await.unwrap();
        let answer = one_answer(&mut peer).await;
        assert_ok(&answer);
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    peer.write_all(&ask.as_bytes().repeat(2)).await.unwrap();
    peer.write_all(last.as_bytes()).await.unwrap();
    let pipelined = rest(&mut peer).await;
    assert_eq!(pipelined.matches("200 OK").count(), 3, "{pipelined}");
    assert_eq!(pipelined.matches("connection: close").count(), 1, "{pipelined}");
    let old = |lines: &str| format!("POST /alarm/s3cr3t HTTP/1.0\r\n{lines}Content-Length: 2\r\n\r\n{{}}");
    assert!(!bridge.talk(old("")).await.contains("keep-alive"), "one of HTTP/1.0 is closed");
    assert!(bridge.talk(old("Connection: keep-alive\r\n")).await.contains("connection: keep-alive\r\n"));
}

#[tokio::test]
async fn an_idle_kept_connection_is_closed_after_the_header_time() {
    let bridge = Bridge::limited(|limits| limits.header_seconds = 1).await;
    let mut peer = bridge.connect().await;
    let ask = "POST /alarm/s3cr3t HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}";
    peer.write_all(ask.as_bytes()).await.unwrap();
    assert_ok(&one_answer(&mut peer).await);
    assert_eq!(rest(&mut peer).await, "");
}

#[tokio::test]
async fn the_test_button_is_a_finding() {
    let bridge = Bridge::new().await;
    drop(bridge.connect().await);
    assert!(bridge.finding(FindingCode::NoRequest).await.contains("before the first byte"));
    let bridge = Bridge::new().await;
    let peer = bridge.connect().await;
    bridge.open(1).await;
    reset(peer);
    assert!(bridge.finding(FindingCode::NoRequest).await.contains("broke before the first byte"));
}

#[tokio::test]
async fn a_reset_after_the_answer_is_normal() {
    let bridge = Bridge::new().await;
    let mut peer = bridge.connect().await;
    peer.write_all(
        b"POST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 26\r\n\r\n{\"camera\":1,\"event\":\"pir\"}",
    )
    .await
    .unwrap();
    let mut byte = [0];
    peer.read_exact(&mut byte).await.unwrap();
    reset(peer);
    bridge.open(0).await;
    assert!(bridge.findings.list().is_empty(), "{:?}", bridge.findings.list());
}

#[tokio::test]
async fn a_peer_that_shuts_its_write_side_still_gets_the_answer() {
    let bridge = Bridge::new().await;
    let mut peer = bridge.connect().await;
    peer.write_all(b"POST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_ok(&rest(&mut peer).await);
}

#[tokio::test]
async fn a_malformed_head_is_answered_and_found() {
    for head in ["nonsense\r\n\r\n", "POST /alarm/s3cr3t HTTP/1.1\r\nA : b\r\nBad Header\r\n\r\n"] {
        let bridge = Bridge::new().await;
        assert_status(&bridge.talk(head).await, 400);
        assert!(bridge.finding(FindingCode::BadRequestHead).await.contains("refused"));
    }
    let bridge = Bridge::new().await;
    let long = format!("POST /alarm/s3cr3t HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    assert_status(&bridge.talk(long).await, 431);
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let bridge = Bridge::limited(|limits| limits.header_seconds = 1).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(bridge.talk("POST /alarm/s3cr3t HTTP/1.1\r\nHost: h\r\n").await, "");
    assert!(bridge.finding(FindingCode::BadRequestHead).await.contains("header time"));
    assert_eq!(rest(&mut bridge.connect().await).await, "");
    assert!(bridge.finding(FindingCode::NoRequest).await.contains("sent nothing"));
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(8)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn strangers_are_limited_and_cameras_are_not() {
    let bridge = Bridge::limited(|limits| limits.strangers_per_second = 5).await;
    let mut refused = 0;
    for _ in 0..10 {
        let answer = bridge.post("/wrong").await;
        refused += usize::from(answer.starts_with("HTTP/1.1 429 "));
    }
    assert!(refused >= 4, "{refused}");
    assert!(bridge.finding(FindingCode::Limited).await.contains("strangers_per_second"));
    assert_ok(&bridge.post("/alarm/s3cr3t").await);
}

#[tokio::test]
async fn ipv6_peers_are_served() {
    let bridge = Bridge::start(Setup { bind: "[::1]:0", ..Setup::default() }).await;
    assert_ok(&bridge.post("/alarm/s3cr3t").await);
}

/// Closes with a reset, as cameras do.
fn reset(peer: tokio::net::TcpStream) {
    peer.set_zero_linger().unwrap();
    drop(peer);
}
