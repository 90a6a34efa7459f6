//! Connection limits and stopping.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout};

use super::{Bridge, assert_ok, assert_status, rest};

#[tokio::test]
async fn silent_connections_make_room() {
    let bridge = Bridge::limited(|limits| limits.connections_per_peer = 3).await;
    let mut oldest = bridge.connect().await;
    bridge.open(1).await;
    let mut half = bridge.connect().await;
    half.write_all(b"POST /alarm/s3cr3t HTTP/1.1\r\n").await.unwrap();
    bridge.open(2).await;
    let _third = bridge.connect().await;
    bridge.open(3).await;
    assert_ok(&bridge.post("/alarm/s3cr3t").await);
    assert_eq!(rest(&mut oldest).await, "", "the oldest was closed");
    half.write_all(b"Content-Length: 2\r\n\r\n{}").await.unwrap();
    assert_ok(&rest(&mut half).await);
}

#[tokio::test]
async fn with_no_silent_connection_a_new_one_waits() {
    for total in [true, false] {
        let bridge = Bridge::limited(|limits| match total {
            true => limits.connections = 1,
            false => limits.connections_per_peer = 1,
        })
        .await;
        let mut busy = bridge.connect().await;
        busy.write_all(b"POST /alarm/s3cr3t HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            .await
            .unwrap();
        let mut byte = [0; 25];
        tokio::io::AsyncReadExt::read_exact(&mut busy, &mut byte).await.unwrap();
        assert_eq!(&byte, b"HTTP/1.1 100 Continue\r\n\r\n");
        let mut next = Box::pin(bridge.post("/alarm/s3cr3t"));
        assert!(timeout(Duration::from_millis(200), &mut next).await.is_err(), "it waits");
        busy.write_all(b"{}").await.unwrap();
        assert_ok(&rest(&mut busy).await);
        assert_ok(&next.await);
    }
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_gives_bodies_two_seconds() {
    let mut bridge = Bridge::new().await;
    let (mut silent, mut slow, mut quick) =
        (bridge.connect().await, bridge.connect().await, bridge.connect().await);
    for peer in [&mut slow, &mut quick] {
        peer.write_all(b"POST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 9\r\n\r\n{").await.unwrap();
    }
    let mut kept = bridge.connect().await;
    let ask = "POST /alarm/s3cr3t HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}";
    kept.write_all(ask.as_bytes()).await.unwrap();
    assert_ok(&super::one_answer(&mut kept).await);
    bridge.open(4).await;
    let begun = Instant::now();
    bridge.shutdown.cancel();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut kept).await, "");
    assert!(begun.elapsed() < Duration::from_secs(1));
    quick.write_all(b"       }").await.unwrap();
    assert_ok(&rest(&mut quick).await);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_status(&rest(&mut slow).await, 408);
    assert!(begun.elapsed() >= Duration::from_secs(2) && begun.elapsed() < Duration::from_secs(4));
    (&mut bridge.running).await.unwrap();
    bridge.ingest.drain().await;
    assert!(tokio::net::TcpStream::connect(bridge.at).await.is_err(), "nobody listens any more");
}

/// Environment variable of the process that runs out of file descriptors.
const FEW_FILES: &str = "ALARMBUS_TEST_FEW_FILES";

/// Runs itself in a process of its own, since the limit on files applies to the whole process.
#[test]
fn running_out_of_files_ends_nothing() {
    if std::env::var_os(FEW_FILES).is_some() {
        return serve_with_few_files();
    }
    let name = "http::tests::caps::running_out_of_files_ends_nothing";
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(FEW_FILES, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Stays open: the process writes to it once more at its end.
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port: u16 = lines
        .by_ref()
        .find_map(|line| line.split_once("port=").and_then(|(_, port)| port.trim().parse().ok()))
        .expect("a port");
    let connect = || std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let many: Vec<_> = (0..100).map(|_| connect()).collect();
    let mut waiting = connect();
    let ask = b"POST /alarm/s3cr3t HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
    waiting.write_all(ask).unwrap();
    waiting.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert_ok(&answer);
    drop(many);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}

/// Serves with a few more files than are open already, until standard input ends.
#[tokio::main(flavor = "current_thread")]
async fn serve_with_few_files() {
    let bridge = Bridge::new().await;
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = Rlimit { current: Some(files + 10), maximum: Some(files + 10) };
    setrlimit(Resource::Nofile, limit).unwrap();
    println!("port={}", bridge.at.port());
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await.unwrap();
}
