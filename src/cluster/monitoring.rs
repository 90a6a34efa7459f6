//! Monitoring port of a NATS server.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// JetStream of a server.
#[derive(Debug, Deserialize)]
pub(super) struct JetStream {
    /// Identifier of the server, as in its greeting.
    pub(super) server_id: String,
    #[serde(default)]
    pub(super) config: Settings,
}

/// Settings of JetStream.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Settings {
    /// The disk is written to before a message is acknowledged.
    #[serde(default)]
    pub(super) sync_always: bool,
    /// Interval of writing to the disk, in nanoseconds.
    #[serde(default)]
    pub(super) sync_interval: u64,
}

/// JetStream at a monitoring address, `host:port` or `http://host:port`; `None` if nothing answers there.
pub(super) async fn jetstream(address: &str) -> Option<JetStream> {
    let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, get(address)).await.ok()?.ok()?;
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    serde_json::from_slice(answer.get(body + 4..)?).ok()
}

/// Head and body of the answer. HTTP/1.0: it ends with the connection, in one piece.
async fn get(address: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /jsz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}
