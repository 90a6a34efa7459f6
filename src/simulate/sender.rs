//! One alarm on the network: a new connection, the request, the reply, and a reset half a second later (WIRE 1.1).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::target::Target;
use super::tls;

/// From the reply to the reset.
const RESET_AFTER: Duration = Duration::from_millis(500);
/// From connecting to the reset, when the Test button is pressed.
const TEST_LASTS: Duration = Duration::from_millis(100);
/// Longest wait for a connection, and for the reply: a little longer than a bridge waits for a body.
const PATIENCE: Duration = Duration::from_secs(35);
/// Connections that wait for their reset at once. Past it, the reset comes at once, or load would run out of files.
const WAITING: usize = 256;
/// Longest reply that is read.
const REPLY_BYTES: usize = 64 * 1024;

/// What became of one alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The bridge answered.
    Answered {
        /// The status.
        status: u16,
        /// `false`: held in memory only, because the bridge's disk refuses writes.
        durable: bool,
    },
    /// No connection could be made.
    Unreachable(String),
    /// The connection ended before the reply was complete.
    Broken(String),
    /// No reply came in time.
    TimedOut,
}

/// An alarm that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What became of it.
    pub outcome: Outcome,
    /// From connecting to the last byte of the reply.
    pub latency: Duration,
}

/// Sends to one target; cheap to clone.
#[derive(Clone)]
pub struct Sender {
    target: Target,
    tls: Option<TlsConnector>,
    waiting: Arc<Semaphore>,
}

impl Sender {
    /// Prepares; connects to nothing yet.
    ///
    /// # Errors
    /// When TLS is wanted and cannot be set up.
    pub fn new(target: Target) -> Result<Self, rustls::Error> {
        let tls = if target.tls { Some(tls::connector()?) } else { None };
        Ok(Self { target, tls, waiting: Arc::new(Semaphore::new(WAITING)) })
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: &[u8]) -> Sent {
        let start = Instant::now();
        let outcome = timeout(PATIENCE, self.attempt(request)).await.unwrap_or(Outcome::TimedOut);
        Sent { outcome, latency: start.elapsed() }
    }

    /// Does what the Test button does: connects, sends nothing, and resets.
    ///
    /// # Errors
    /// When no connection can be made.
    pub async fn press_test_button(&self) -> io::Result<()> {
        let stream = self.connect().await?;
        sleep(TEST_LASTS).await;
        stream.set_zero_linger()
    }

    /// Waits until every connection was reset.
    pub async fn settle(&self) {
        let all = u32::try_from(WAITING).unwrap_or(u32::MAX);
        // The semaphore is never closed; then there would be nothing to wait for.
        let _all_reset = self.waiting.acquire_many(all).await;
    }

    /// Connects, sends, reads the reply.
    async fn attempt(&self, request: &[u8]) -> Outcome {
        let stream = match self.connect().await {
            Ok(stream) => stream,
            Err(error) => return Outcome::Unreachable(error.to_string()),
        };
        match self.exchange(stream, request).await {
            Ok((reply, stream)) => {
                self.reset_later(stream);
                reply
            }
            Err(error) => Outcome::Broken(error.to_string()),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The exchange, over TLS where the target has it; gives the connection back.
    async fn exchange(&self, mut stream: TcpStream, request: &[u8]) -> io::Result<(Outcome, TcpStream)> {
        let Some(connector) = &self.tls else {
            let reply = exchange(&mut stream, request).await?;
            return Ok((reply, stream));
        };
        let name = ServerName::try_from(self.target.host.clone()).map_err(io::Error::other)?;
        let mut stream = connector.connect(name, stream).await?;
        let reply = exchange(&mut stream, request).await?;
        Ok((reply, stream.into_inner().0))
    }

    /// Resets the connection after a while, as cameras do.
    fn reset_later(&self, stream: TcpStream) {
        if stream.set_zero_linger().is_err() {
            // The peer has closed it already.
            return;
        }
        if let Ok(permit) = Arc::clone(&self.waiting).try_acquire_owned() {
            tokio::spawn(async move {
                sleep(RESET_AFTER).await;
                drop((stream, permit));
            });
        }
    }
}

/// Writes the request and reads the reply.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> io::Result<Outcome> {
    // A bridge that refuses early may close before all is written: its reply is then there to be read.
    let written = async {
        stream.write_all(request).await?;
        stream.flush().await
    }
    .await;
    let mut reply = Vec::new();
    loop {
        if let Some(outcome) = parse(&reply) {
            return Ok(outcome);
        }
        if reply.len() >= REPLY_BYTES {
            return Err(io::Error::other("the reply is not one of a bridge"));
        }
        if stream.read_buf(&mut reply).await? == 0 {
            written?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The outcome, once the reply is complete.
fn parse(reply: &[u8]) -> Option<Outcome> {
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(reply.get(..end)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    let body = reply.get(end + 4..end.checked_add(4)?.checked_add(length)?)?;
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let durable = json.and_then(|json| json.get("durable")?.as_bool()).unwrap_or(true);
    Some(Outcome::Answered { status, durable })
}

#[cfg(test)]
mod tests {
    use super::{Outcome, parse};

    #[test]
    fn a_reply_counts_when_it_is_complete() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-length: 17\r\n\r\n{\"durable\":false}";
        assert_eq!(parse(reply), Some(Outcome::Answered { status: 200, durable: false }));
        for end in 0..reply.len() {
            assert_eq!(parse(&reply[..end]), None, "{end}");
        }
        let empty = b"HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(parse(empty), Some(Outcome::Answered { status: 404, durable: true }));
    }
}
