//! Slow and greedy peers: well-behaved cameras are served, and memory stays below its limit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::support::alarms::{Arrived, Sent, jpeg, report, send};
use crate::support::{Bridge, Camera, Mosquitto, Subscriber};

const LONG: Duration = Duration::from_secs(60);
/// Maximum wait of a camera on a busy machine; otherwise it is a few milliseconds.
const WAIT: Duration = Duration::from_secs(4);

async fn start() -> (Mosquitto, Subscriber, Bridge) {
    let broker = Mosquitto::start().await;
    let subscriber = Subscriber::connect(broker.port(), "alarmbus/+/event/#").await;
    let config = format!("[mqtt]\nserver = \"{}\"\n[homeassistant]\nenabled = false\n", broker.url());
    let bridge = Bridge::start(&config).await;
    (broker, subscriber, bridge)
}

/// A connection from one of many addresses.
async fn from(peer: u16, camera: &Camera) -> std::io::Result<TcpStream> {
    let [high, low] = peer.to_be_bytes();
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 7, high, low.max(1))), 0))?;
    socket.connect(camera.authority.parse().expect("an address")).await
}

/// Sends alarms one after the other; returns them with the longest and the median wait.
async fn served(bridge: &Bridge, count: usize) -> (Vec<Sent>, Duration, Duration) {
    let mut sent = Vec::new();
    let mut waits = Vec::new();
    for n in 0..count {
        let started = Instant::now();
        let picture = (n % 2 == 1).then(|| jpeg(150_000));
        sent.push(send(&bridge.camera(), 1, "PEOPLE", picture.as_deref()).await);
        waits.push(started.elapsed());
    }
    waits.sort();
    (sent, waits[count - 1], waits[count / 2])
}

#[tokio::test]
async fn two_thousand_idle_connections_hold_up_nobody() {
    let (_broker, mut subscriber, bridge) = start().await;
    let camera = bridge.camera();
    let mut idle = Vec::new();
    for n in 0..2_000_u16 {
        idle.push(from(n % 16, &camera).await.expect("the listener takes connections"));
    }
    let (sent, longest, middle) = served(&bridge, 40).await;
    let resident = bridge.resident() / 1024;
    println!("with 2,000 idle connections: middle {middle:?}, longest {longest:?}, {resident} KiB");
    assert!(longest < WAIT, "{longest:?}");
    assert!(resident < 120 << 10, "{resident} KiB");
    Arrived::default().all(&mut subscriber, &sent, LONG).await;
    drop(idle);
}

#[tokio::test]
async fn slow_heads_and_bodies_hold_up_nobody() {
    let (_broker, mut subscriber, bridge) = start().await;
    let camera = bridge.camera();
    let mut slow = Vec::new();
    for n in 0..300_u16 {
        let mut stream = from(n % 16, &camera).await.expect("the listener takes connections");
        let head = if n % 2 == 0 {
            format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Le", camera.path)
        } else {
            // Memory for their announced length is reserved first.
            let length = if n % 4 == 1 { 16 << 20 } else { 1 << 20 };
            format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{{", camera.path)
        };
        stream.write_all(head.as_bytes()).await.expect("it is taken");
        slow.push(stream);
    }
    let drip = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            for stream in &mut slow {
                // Some connections are closed meanwhile, as intended.
                let _cut = stream.write_all(b"x").await;
            }
        }
    });
    let (sent, longest, middle) = served(&bridge, 40).await;
    let resident = bridge.resident() / 1024;
    println!("with 300 slow heads and bodies: middle {middle:?}, longest {longest:?}, {resident} KiB");
    assert!(longest < WAIT, "{longest:?}");
    // At most the memory reserved for bodies and the usual use: not the sum of announced lengths.
    assert!(resident < 125 << 10, "{resident} KiB");
    Arrived::default().all(&mut subscriber, &sent, LONG).await;
    drip.abort();
}

/// Peers that announce large bodies and send nothing or only the beginning do not delay a camera's picture.
#[tokio::test]
async fn announced_bytes_that_do_not_come_hold_up_no_picture() {
    let (_broker, mut subscriber, bridge) = start().await;
    let camera = bridge.camera();
    for beginning in [1, 100_000] {
        let mut silent = Vec::new();
        for n in 0..12_u16 {
            let mut stream = from(n + 1, &camera).await.expect("the listener takes connections");
            let head =
                format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", camera.path, 16 << 20);
            stream.write_all(head.as_bytes()).await.expect("it is taken");
            stream.write_all(&vec![b' '; beginning]).await.expect("it is taken");
            silent.push(stream);
        }
        let started = Instant::now();
        let picture = jpeg(1 << 20);
        let sent = send(&bridge.camera(), 1, "PEOPLE", Some(&picture)).await;
        let waited = started.elapsed();
        println!("behind 12 peers that sent {beginning} of 16 MiB: {waited:?}");
        assert!(waited < if beginning == 1 { WAIT } else { WAIT * 2 }, "{waited:?}");
        Arrived::default().all(&mut subscriber, &[sent], LONG).await;
        drop(silent);
    }
}

#[tokio::test]
async fn sixty_four_large_pictures_at_once_hold_up_nobody() {
    let (_broker, mut subscriber, bridge) = start().await;
    let (mut all, usual, _) = served(&bridge, 20).await;
    let picture = jpeg(8 << 20);
    let mut body = b"--B\r\nContent-Type: application/json\r\n\r\n".to_vec();
    body.extend_from_slice(report(2, "VEHICLE").to_string().as_bytes());
    body.extend_from_slice(b"\r\n--B\r\nContent-Type: image/jpeg\r\n\r\n");
    body.extend_from_slice(&picture);
    body.extend_from_slice(b"\r\n--B--\r\n");
    let camera = bridge.camera();
    let request: std::sync::Arc<[u8]> = camera.request("multipart/form-data; boundary=B", &body).into();
    let mut greedy = tokio::task::JoinSet::new();
    for n in 0..64_u16 {
        let (camera, request) = (camera.clone(), std::sync::Arc::clone(&request));
        greedy.spawn(async move {
            let mut stream = from(n + 1, &camera).await.expect("the listener takes connections");
            stream.write_all(&request).await.expect("it is taken");
            stream.shutdown().await.expect("it is there");
            let mut answer = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.expect("an answer");
            answer
        });
    }
    let mut largest = 0;
    let mut waits = Vec::new();
    while waits.len() < 20 || (!greedy.is_empty() && waits.len() < 200) {
        let (sent, wait, _) = served(&bridge, 2).await;
        all.extend(sent);
        waits.push(wait);
        largest = largest.max(bridge.resident() / 1024);
        while let Some(answer) = greedy.try_join_next() {
            let answer = answer.expect("it ended well");
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"durable\":true"), "{answer}");
        }
    }
    waits.sort();
    let [middle, most, longest] =
        [5, 9, 10].map(|tenths| waits[(waits.len() * tenths / 10).min(waits.len() - 1)]);
    println!(
        "with 64 pictures of 8 MiB at once: middle {middle:?}, nine in ten {most:?}, longest {longest:?}, {largest} KiB"
    );
    // The disk itself is busy with half a gigabyte meanwhile, and the longest wait is its own.
    let limit = usual * 2 + Duration::from_millis(100);
    assert!(middle < limit, "{middle:?} ({usual:?} before)");
    assert!(most < WAIT / 8 && longest < WAIT, "{most:?}, {longest:?}");
    // Bodies take 64 MiB; some of the pictures are in memory again to be published.
    assert!(largest < 160 << 10, "{largest} KiB");
    Arrived::default().all(&mut subscriber, &all, LONG).await;
}
