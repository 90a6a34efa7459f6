//! `simulate` behaves like a device, as seen from the server.

use std::time::Duration;

use alarmbus::simulate::device::{Wishes, fleet};
use alarmbus::simulate::event::SimulatedKind;
use alarmbus::simulate::plan::{Pace, PlanInput};
use alarmbus::simulate::request::Format;
use alarmbus::simulate::run::{RunProgress, RunSettings, run};
use alarmbus::simulate::sender::Sender;
use alarmbus::simulate::summary::Summary;
use alarmbus::simulate::target::Target;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{Bridge, SOON, Subscriber, alarms};

/// Observations of one connection.
struct Seen {
    request: Vec<u8>,
    /// End of the connection, and the time from the reply to it.
    end: std::io::Result<usize>,
    held: Duration,
}

/// Answers this number of connections with this status; returns the observations.
fn observe(listener: TcpListener, count: usize, status: &'static str) -> JoinHandle<Vec<Seen>> {
    tokio::spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..count {
            let (stream, _) = listener.accept().await.unwrap();
            seen.push(tokio::spawn(answer(stream, status)));
        }
        let mut all = Vec::new();
        for connection in seen {
            all.push(connection.await.unwrap());
        }
        all
    })
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, status: &str) -> Seen {
    let mut request = Vec::new();
    while !is_complete(&request) {
        if stream.read_buf(&mut request).await.is_ok_and(|count| count == 0) {
            break;
        }
    }
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 16\r\n\r\n{{\"durable\":true}}");
    stream.write_all(reply.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let replied = Instant::now();
    let end = stream.read(&mut [0; 16]).await;
    Seen { request, end, held: replied.elapsed() }
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    request.len() == head.len() + 4 + length.parse::<usize>().unwrap()
}

fn settings(url: &str, pace: Pace, formats: Vec<Format>) -> RunSettings {
    RunSettings {
        target: Target::parse(url).unwrap(),
        devices: fleet(&Wishes::default(), 1),
        kinds: vec![SimulatedKind::parse("person")],
        order: PlanInput { pace, devices: 1, formats, pictures: 1.0, seed: 0 },
        zone: jiff::tz::TimeZone::UTC,
        size: "320x240".parse().unwrap(),
        connections: 4,
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    (listener, authority)
}

async fn run_to_end(settings: RunSettings) -> Summary {
    run(settings, std::future::pending(), |_| ()).await.unwrap()
}

#[tokio::test]
async fn a_visit_is_a_connection_per_alarm_with_pauses_and_a_reset() {
    let (listener, authority) = listen().await;
    let server = observe(listener, 2, "200 OK");
    let start = Instant::now();
    let url = format!("http://{authority}/alarm/s");
    let mut told = 0;
    let visit = settings(&url, Pace::Visit { count: 2 }, vec![Format::Multipart]);
    let tell = |progress: RunProgress<'_>| told += u32::from(matches!(progress, RunProgress::Sent { .. }));
    let summary = run(visit, std::future::pending(), tell).await.unwrap();
    assert!(summary.is_success() && summary.sent == 2 && told == 2, "{summary}");
    assert!(start.elapsed() >= Duration::from_secs(1), "the pause between two alarms");
    for seen in server.await.unwrap() {
        let text = String::from_utf8_lossy(&seen.request).into_owned();
        let names: Vec<_> =
            text.lines().skip(1).map_while(|line| line.split_once(':')).map(|it| it.0).collect();
        assert_eq!(names, ["Host", "Content-Type", "Content-Length", "Cache-Control"]);
        assert!(text.starts_with(&format!("POST /alarm/s HTTP/1.1\r\nHost: {authority}\r\n")));
        assert_eq!(seen.end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert!((400..2_000).contains(&seen.held.as_millis()), "reset after {:?}", seen.held);
    }
}

#[tokio::test]
async fn load_counts_what_is_not_200_by_its_kind() {
    let (listener, authority) = listen().await;
    let server = observe(listener, 20, "404 Not Found");
    let pace = Pace::Load { rate: 0.0, duration: Duration::from_secs(60), count: Some(20) };
    let formats = vec![Format::Legacy, Format::Enhanced, Format::NvrMultipart, Format::EnhancedMultipart];
    let summary = run_to_end(settings(&format!("http://{authority}/"), pace, formats)).await;
    assert_eq!((summary.sent, summary.answered, summary.failed["answered 404"]), (20, 0, 20));
    assert!(!summary.is_success());
    assert_eq!(server.await.unwrap().len(), 20);
    let gone =
        run_to_end(settings(&format!("http://{authority}/"), Pace::Visit { count: 1 }, vec![Format::Nvr]))
            .await;
    assert!(gone.failed.keys().all(|what| what.starts_with("unreachable")) && gone.sent == 1, "{gone}");
}

#[tokio::test]
async fn tls_is_taken_with_any_certificate() {
    let (listener, authority) = listen().await;
    let key = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        answer(acceptor.accept(stream).await.unwrap(), "200 OK").await
    });
    let summary = run_to_end(settings(
        &format!("https://{authority}/"),
        Pace::Visit { count: 1 },
        vec![Format::Legacy],
    ))
    .await;
    assert!(summary.is_success(), "{summary}");
    let seen = server.await.unwrap();
    assert!(seen.request.starts_with(b"POST / HTTP/1.1") && seen.end.is_err());
}

#[tokio::test]
async fn the_test_button_sends_nothing_and_resets() {
    let (listener, authority) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read(&mut [0; 1]).await
    });
    let sender = Sender::new(Target::parse(&format!("http://{authority}/")).unwrap()).unwrap();
    sender.press_test_button().await.unwrap();
    assert_eq!(server.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_command_finds_the_running_bridge_and_every_alarm_is_answered() {
    let bridge = Bridge::start("").await;
    let storage = bridge.storage().display().to_string();
    let load = ["--rate", "0", "--count", "60", "--devices", "6", "--format", "mixed"];
    let (status, output) = bridge.command(&[&["simulate", "--storage", &storage], &load[..]].concat()).await;
    assert!(status.success(), "{output}");
    assert!(output.contains("requests answered 200: 60, of these not durable: 0; failed: 0"), "{output}");
    assert!(output.contains("sent 60 requests with 120 alarms"), "two kinds in each: {output}");
    assert!(output.contains("alarms that the bridge took: 120"), "{output}");
    let devices = bridge.command(&["devices", "ls", "--json"]).await.1;
    let devices: serde_json::Value = serde_json::from_str(&devices).unwrap();
    let counted = devices.as_array().unwrap().iter().map(|device| device["alarms"].as_u64().unwrap());
    assert_eq!(counted.sum::<u64>(), 120, "{devices}");
    let (status, output) = bridge.command(&["simulate", "--storage", "/nonexistent"]).await;
    assert_eq!(status.code(), Some(69));
    assert!(output.contains("no bridge runs with the storage folder /nonexistent"), "{output}");
}

#[tokio::test]
async fn every_maker_is_played_and_understood() {
    let bridge = Bridge::start("").await;
    let (status, output) = bridge.command(&["simulate", "--url", bridge.webhook(), "--maker", "all"]).await;
    assert!(status.success(), "{output}");
    let requests = crate::support::web::get(bridge.admin(), "/api/v1/requests?limit=200", &[]).await.json();
    let all = requests["requests"].as_array().unwrap_or_else(|| panic!("{requests}"));
    assert!(all.len() > 20, "{requests}");
    for request in all {
        let verdict = request["verdict"].as_str().unwrap();
        let known = verdict.starts_with("understood: ") && !verdict.contains("unknown");
        assert!(known || verdict.starts_with("a sign of life") || verdict.starts_with("a test"), "{verdict}");
    }
    let (status, output) = bridge.command(&["simulate", "--maker", "nobody"]).await;
    assert!(status.code() == Some(64) && output.contains("hikvision"), "{output}");
}

#[tokio::test]
async fn a_history_is_as_if_cameras_had_reported_and_is_not_published() {
    let mut bridge = Bridge::prepare("");
    let arguments = ["simulate", "--history", "12h", "--devices", "2", "--picture-size", "320x240"];
    let (status, output) = bridge.command(&arguments).await;
    assert!(status.success() && output.contains("alarms of 2 devices"), "{output}");
    let (status, output) = bridge.command(&arguments).await;
    assert!(status.code() == Some(64) && output.contains("has alarms already"), "{output}");
    bridge.restart().await;
    let found = bridge.api("/alarms?limit=200").await;
    let found = found["alarms"].as_array().unwrap();
    let found: Vec<&serde_json::Value> = found.iter().map(|entry| &entry["alarm"]).collect();
    let begun =
        |alarm: &&&serde_json::Value| alarm["phase"] == "start" && alarm["device"]["name"] == "Back garden";
    assert!(3 < found.iter().filter(begun).count(), "activities ended between the visits: {found:?}");
    assert!(found.iter().any(|alarm| alarm["snapshot"].is_object()), "{found:?}");
    let offsets = found.iter().map(|alarm| alarm["clock_offset_ms"].as_i64().unwrap());
    assert!(
        offsets.clone().all(|offset| (-1_000..=0).contains(&offset)),
        "{:?}",
        offsets.collect::<Vec<_>>()
    );
    let hours = bridge.api("/alarms-by-hour?hours=13").await;
    let busy = hours["hours"].as_array().unwrap().iter().filter(|hour| hour["alarms"] != 0).count();
    assert!(6 <= busy, "{hours}");
    let port = bridge.mqtt().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let mut subscriber = Subscriber::connect(port, "alarmbus/+/event/+").await;
    assert_eq!(bridge.camera().json(&alarms::report(1, "PEOPLE")).await.status, 200);
    let first = subscriber.wait_for(SOON, |_| true).await;
    assert_eq!(first.topic, format!("alarmbus/{}/event/person", alarms::source(1)));
}
