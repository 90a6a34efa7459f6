//! The fixed routes of the admin listener.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{Health, health_router};
use crate::config::Limits;
use crate::http::tests::rest;
use crate::http::{Connections, Listener};

/// Health with obstacles and problems that tests set.
#[derive(Default)]
struct Set(Mutex<[Vec<String>; 2]>);

impl Health for Set {
    fn obstacles(&self) -> Vec<String> {
        self.0.lock()[0].clone()
    }

    fn takes_alarms(&self) -> bool {
        self.obstacles().is_empty()
    }

    fn troubles(&self) -> Vec<String> {
        self.0.lock()[1].clone()
    }
}

#[tokio::test]
async fn health_is_told_with_its_reasons() {
    let health = Arc::new(Set::default());
    let limits = Arc::new(ArcSwap::from_pointee(Limits::default()));
    let listener = Listener {
        tls: None,
        router: health_router(Arc::<Set>::clone(&health)),
        connections: Connections::new(Arc::clone(&limits)),
        limits,
        findings: None,
        shutdown: CancellationToken::new(),
    };
    let stop = listener.shutdown.clone().drop_guard();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = tcp.local_addr().unwrap();
    let running = tokio::spawn(listener.serve(tcp));
    let ask = async |line: &str| {
        let mut peer = TcpStream::connect(at).await.unwrap();
        peer.write_all(format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.unwrap();
        let answer = rest(&mut peer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), body.trim_end().to_owned())
    };
    let ok = r#"{"status":"ok","problems":[]}"#;
    assert_eq!(ask("GET /health/live").await, ("200".into(), ok.into()));
    let ok = r#"{"status":"ok","problems":[],"takes_alarms":true}"#;
    assert_eq!(ask("GET /health/ready").await, ("200".into(), ok.into()));
    health.0.lock()[1].push("the disk is full".into());
    let degraded = r#"{"status":"degraded","problems":["the disk is full"],"takes_alarms":true}"#;
    assert_eq!(ask("GET /health/ready").await, ("200".into(), degraded.into()));
    health.0.lock()[0].push("no listener".into());
    let not_ready =
        r#"{"status":"not_ready","problems":["no listener","the disk is full"],"takes_alarms":false}"#;
    assert_eq!(ask("GET /health/ready").await, ("503".into(), not_ready.into()));
    assert_eq!(ask("POST /health/live").await.0, "405");
    assert_eq!(ask("GET /nothing").await.0, "404");
    drop(stop);
    running.await.unwrap();
}
