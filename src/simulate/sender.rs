//! Sends one alarm: a new connection, the request, the reply, and a reset half a second later, as real cameras do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::target::Target;
use crate::tls;
use crate::tls::client::TlsClient;

/// Time from the reply to the reset.
const RESET_AFTER: Duration = Duration::from_millis(500);
/// Time from connecting to the reset, when the Test button is pressed.
const TEST_DURATION: Duration = Duration::from_millis(100);
/// Longest wait for a connection, and for the reply: a little longer than a bridge waits for a body.
const TIMEOUT: Duration = Duration::from_secs(35);
/// Maximum number of connections that wait for their reset. Past it, the reset comes at once, so that load does not
/// run out of file descriptors.
const MAX_WAITING: usize = 256;
/// Maximum bytes of a reply.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// Outcome of one alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// The bridge answered.
    Answered {
        /// The status.
        status: u16,
        /// `false`: held in memory only, because the bridge cannot write its storage folder.
        durable: bool,
        /// Number of alarms in the bridge's answer; `None` if it does not report it.
        alarms: Option<u64>,
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
pub struct SentRequest {
    /// Outcome.
    pub outcome: SendOutcome,
    /// Time from connecting to the last byte of the reply.
    pub latency: Duration,
}

/// Sends to one target; cheap to clone.
#[derive(Clone)]
pub struct Sender {
    target: Target,
    tls: Option<TlsClient>,
    waiting: Arc<Semaphore>,
}

impl Sender {
    /// Creates a sender, without connecting.
    ///
    /// # Errors
    /// Returns an error when TLS cannot be set up.
    pub fn new(target: Target) -> Result<Self, rustls::Error> {
        // It is not known whether real cameras check certificates; most bridges have a self-signed one.
        let tls = if target.tls { Some(TlsClient::unchecked(&tls::BRIDGE)?) } else { None };
        Ok(Self { target, tls, waiting: Arc::new(Semaphore::new(MAX_WAITING)) })
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: &[u8]) -> SentRequest {
        let start = Instant::now();
        let outcome = timeout(TIMEOUT, self.attempt(request)).await.unwrap_or(SendOutcome::TimedOut);
        SentRequest { outcome, latency: start.elapsed() }
    }

    /// Does what the Test button does: connects, sends nothing, and resets.
    ///
    /// # Errors
    /// Returns an error when no connection can be made.
    pub async fn press_test_button(&self) -> io::Result<()> {
        let stream = self.connect().await?;
        sleep(TEST_DURATION).await;
        stream.set_zero_linger()
    }

    /// Waits until every connection was reset.
    pub async fn settle(&self) {
        let all = u32::try_from(MAX_WAITING).unwrap_or(u32::MAX);
        // The semaphore is never closed; if it were, there would be nothing to wait for.
        let _all_reset = self.waiting.acquire_many(all).await;
    }

    /// Connects, sends, reads the reply.
    async fn attempt(&self, request: &[u8]) -> SendOutcome {
        let stream = match self.connect().await {
            Ok(stream) => stream,
            Err(error) => return SendOutcome::Unreachable(error.to_string()),
        };
        match self.exchange(stream, request).await {
            Ok((reply, stream)) => {
                self.reset_later(stream);
                reply
            }
            Err(error) => SendOutcome::Broken(error.to_string()),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Exchanges request and reply, over TLS if the target uses it; returns the connection.
    async fn exchange(&self, mut stream: TcpStream, request: &[u8]) -> io::Result<(SendOutcome, TcpStream)> {
        let Some(client) = &self.tls else {
            let reply = exchange(&mut stream, request).await?;
            return Ok((reply, stream));
        };
        let name = ServerName::try_from(self.target.host.clone()).map_err(io::Error::other)?;
        let mut stream = client.connect(name, stream).await.map_err(io::Error::other)?;
        let reply = exchange(&mut stream, request).await?;
        Ok((reply, stream.into_inner().0))
    }

    /// Resets the connection later, as cameras do.
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
async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
) -> io::Result<SendOutcome> {
    // A bridge that refuses early may close before all is written; its reply can still be read.
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
        if reply.len() >= MAX_REPLY_BYTES {
            return Err(io::Error::other("the reply is not one of a bridge"));
        }
        if stream.read_buf(&mut reply).await? == 0 {
            written?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The outcome, once the reply is complete.
fn parse(reply: &[u8]) -> Option<SendOutcome> {
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
    let durable = json.as_ref().and_then(|json| json.get("durable")?.as_bool()).unwrap_or(true);
    let alarms = json.as_ref().and_then(|json| json.get("alarms")?.as_u64());
    Some(SendOutcome::Answered { status, durable, alarms })
}

#[cfg(test)]
mod tests {
    use super::{SendOutcome, parse};

    #[test]
    fn a_reply_counts_when_it_is_complete() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-length: 28\r\n\r\n{\"alarms\":2,\"durable\":false}";
        assert_eq!(
            parse(reply),
            Some(SendOutcome::Answered { status: 200, durable: false, alarms: Some(2) })
        );
        for end in 0..reply.len() {
            assert_eq!(parse(&reply[..end]), None, "{end}");
        }
        let empty = b"HTTP/1.1 404 Not Found\r\n\r\n";
        assert_eq!(parse(empty), Some(SendOutcome::Answered { status: 404, durable: true, alarms: None }));
    }
}
