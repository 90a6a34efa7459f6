//! One HTTP/1.1 connection to the server, opened when it is needed and kept for the next notification.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::config;
use crate::findings::FindingCode;
use crate::model::mask::SecretSet;
use crate::sink::SinkDown;
use crate::tls::client::TlsClient;
use crate::tls::{self, files::Files};

/// Longest connect time per address, where a name has several.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);
/// Time after which an unused connection is not used again, since servers close idle ones.
const IDLE: Duration = Duration::from_secs(5);
/// Longest time for the rest of an answer: its status is known.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 16 * 1024;
/// Characters of an answer's body that are shown.
const MAX_DETAIL: usize = 160;

/// Sender of requests on an open connection.
type Sender = SendRequest<Full<Bytes>>;

/// A connection to the server, or what opens one.
pub(super) struct Connection {
    host: String,
    port: u16,
    host_header: HeaderValue,
    tls: bool,
    ca: Option<PathBuf>,
    insecure: bool,
    /// Secrets that no text about the server repeats.
    secrets: SecretSet,
    open: Option<(Sender, Instant)>,
}

impl Clone for Connection {
    /// The same settings; the clone opens a connection of its own.
    fn clone(&self) -> Self {
        let Self { host, port, host_header, tls, ca, insecure, secrets, open: _ } = self;
        Self {
            host: host.clone(),
            port: *port,
            host_header: host_header.clone(),
            tls: *tls,
            ca: ca.clone(),
            insecure: *insecure,
            secrets: secrets.clone(),
            open: None,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("target", &self.target()).finish_non_exhaustive()
    }
}

/// Answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status.
    pub(super) status: StatusCode,
    /// Pause that the server asks for.
    pub(super) retry_after: Option<Duration>,
    /// The beginning of its body, without secrets.
    detail: String,
}

/// Reason why there is no answer.
pub(super) enum Failure {
    /// No connection can be made.
    Down(SinkDown),
    /// The connection broke before the answer was complete.
    Broken(String),
}

impl Connection {
    /// Prepares a connection.
    pub(super) fn new(config: &config::Notify) -> Result<Self, String> {
        let text = config.url.as_ref().map(config::Secret::expose).unwrap_or_default();
        let url = Url::parse(text).map_err(|error| format!("notify.url is no address: {error}"))?;
        let host = url.host_str().ok_or("notify.url has no host")?;
        let port = url.port_or_known_default().ok_or("notify.url has no port")?;
        let named = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            host_header: HeaderValue::from_str(&named).map_err(|_| "notify.url has no usable host")?,
            tls: url.scheme() == "https",
            ca: config.ca.clone(),
            insecure: config.insecure,
            secrets: SecretSet::new(config.secrets()),
            open: None,
        })
    }

    /// Scheme, host and port: the part of the address that is no secret.
    pub(super) fn target(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.host_header.to_str().unwrap_or_default())
    }

    /// Drops the connection.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Opens the connection anew.
    pub(super) async fn open(&mut self) -> Result<(), SinkDown> {
        self.open = None;
        let tcp = self.dial().await?;
        let sender =
            if self.tls { start_http(self.secure(tcp).await?).await } else { start_http(tcp).await }?;
        self.open = Some((sender, Instant::now()));
        Ok(())
    }

    /// Sends a request and reads its answer. A connection that ended while it was idle is opened anew.
    pub(super) async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        request.headers_mut().insert(HOST, self.host_header.clone());
        let mut sender = match self.idle().await {
            Some(sender) => sender,
            None => {
                self.open().await.map_err(Failure::Down)?;
                let Some((sender, _)) = self.open.take() else { return Err(self.broken("it is gone")) };
                sender
            }
        };
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error.to_string()))?;
        let (head, body) = response.into_parts();
        let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let retry_after = text(RETRY_AFTER).and_then(parse_retry_after);
        let location = text(LOCATION).filter(|_| head.status.is_redirection()).map(str::to_owned);
        // The status decides; a body that is too long, cut or slow costs its detail and the connection only.
        let body = timeout(BODY_TIMEOUT, Limited::new(body, ANSWER_BYTES).collect()).await;
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes());
        if body.is_some() {
            self.open = Some((sender, Instant::now()));
        }
        let detail = location.map_or_else(
            || first_line(&body.unwrap_or_default(), &self.secrets),
            |_| "it redirects to another address".into(),
        );
        Ok(Answer { status: head.status, retry_after, detail })
    }

    /// The connection of the last request, if it is still open.
    async fn idle(&mut self) -> Option<Sender> {
        let (mut sender, used) = self.open.take()?;
        (used.elapsed() < IDLE && sender.ready().await.is_ok()).then_some(sender)
    }

    /// Sentence about an answer that is no success, with the remedy.
    pub(super) fn describe(&self, answer: &Answer) -> String {
        let remedy = match answer.status.as_u16() {
            300..=399 => ": write the final address into notify.url",
            401 | 403 | 407 => ": check notify.token, notify.headers and who may write there",
            404 | 405 | 410 | 421 => ": check notify.url and notify.method",
            413 => {
                ": the server takes less, so lower the camera's picture quality or set notify.picture = \"none\""
            }
            408 | 425 | 429 => ": it takes fewer requests, so notify fewer kinds or devices",
            400..=499 => ": check the templates of [notify] against what the server wants",
            _ => ": see the log of the server",
        };
        let detail = if answer.detail.is_empty() { String::new() } else { format!(" ({})", answer.detail) };
        format!("{} answered {}{detail}{remedy}", self.target(), answer.status)
    }

    fn broken(&self, error: &str) -> Failure {
        let error = self.secrets.replaced(error, "***");
        Failure::Broken(format!("the connection to {} broke before an answer came ({error})", self.target()))
    }

    /// Connects to the first address that answers.
    async fn dial(&self) -> Result<TcpStream, SinkDown> {
        let unreachable = |reason: String| SinkDown { code: FindingCode::BrokerUnreachable, reason };
        let addresses = lookup_host((self.host.as_str(), self.port)).await.map_err(|error| {
            unreachable(format!("the name {:?} is not known to DNS ({error}): check notify.url", self.host))
        })?;
        let mut failure = unreachable(format!("the name {:?} has no address", self.host));
        for address in addresses {
            match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => {
                    failure = unreachable(format!(
                        "{address} cannot be reached ({error}): start the server, or correct notify.url"
                    ));
                }
                Err(_) => {
                    failure = unreachable(format!(
                        "{address} does not answer: check address, network and firewall"
                    ));
                }
            }
        }
        Err(failure)
    }

    /// Starts TLS on the TCP connection.
    async fn secure(
        &self,
        tcp: TcpStream,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, SinkDown> {
        let broken = |reason: String| SinkDown { code: FindingCode::BrokerTls, reason };
        let files = Files {
            section: "notify",
            ca: self.ca.as_deref(),
            cert: None,
            key: None,
            insecure: self.insecure,
        };
        let client = TlsClient::from_files(&files, &tls::NOTIFY).await.map_err(broken)?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| broken("the host of notify.url is neither a name nor an address".into()))?;
        client.connect(name, tcp).await.map_err(broken)
    }
}

/// Starts HTTP on a stream.
async fn start_http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Sender, SinkDown> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| {
        let reason = format!("HTTP cannot be spoken on the connection: {error}");
        SinkDown { code: FindingCode::BrokerUnreachable, reason }
    })?;
    // It ends with the sender; its errors are those of the exchange.
    drop(tokio::spawn(connection));
    Ok(sender)
}

/// Pause of a `Retry-After`: seconds or a date.
fn parse_retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    until.duration_since(crate::host::now()).try_into().ok()
}

/// First line of a body, as far as it is shown: nothing of HTML, and no secret of the request, which a server may repeat.
fn first_line(body: &[u8], secrets: &SecretSet) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.trim_start().lines().next().unwrap_or_default();
    if line.starts_with('<') {
        return String::new();
    }
    let line: String = line.chars().filter(|sign| !sign.is_control()).collect();
    secrets.replaced(&line, "***").chars().take(MAX_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{SecretSet, first_line, parse_retry_after};
    use crate::config::{Notify, Secret};

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(parse_retry_after("120"), Some(Duration::from_secs(120)));
        assert!(
            parse_retry_after("Fri, 31 Dec 2100 23:59:59 GMT")
                .is_some_and(|pause| Duration::from_secs(3_600) < pause)
        );
        assert_eq!(parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(parse_retry_after("soon"), None);
    }

    #[test]
    fn only_a_line_of_plain_text_is_shown() {
        let shown = |body: &[u8]| first_line(body, &SecretSet::new([""; 0]));
        assert_eq!(shown(b"<html>no</html>"), "");
        assert_eq!(shown(b"\n{\"code\":40001}\nmore"), "{\"code\":40001}");
        assert_eq!(shown(&[b'a'; 1000]).len(), 160);
    }

    const SECRET: &str = "s3cret/Zz9+&=";

    /// A spelling of the text: each character as it is, or escaped in one of the usual ways.
    fn spelled(text: &str, ways: &[u8]) -> String {
        let mut ways = ways.iter().cycle();
        let spell = |byte: u8| match ways.next().copied().unwrap_or_default() % 7 {
            1 => format!("%{byte:02x}"),
            2 => format!("%{byte:02X}"),
            3 => format!("\\u{byte:04x}"),
            4 => format!("&#{byte};"),
            5 => format!("&#x{byte:x};"),
            6 => format!("%25{byte:02x}"),
            _ => char::from(byte).to_string(),
        };
        text.bytes().map(spell).collect()
    }

    proptest! {
        /// A server that repeats the address, the token or a header in any spelling.
        #[test]
        fn no_spelling_of_a_secret_is_shown(
            ways in prop::collection::vec(any::<u8>(), 1..40), before in "[a-z /?=]{0,200}", part in 0_usize..6,
        ) {
            let config = Notify {
                url: Some(Secret::new("https://host/hooks/p4thS3cret/?key=qu3ryS3cret")),
                token: Some(Secret::new(SECRET)),
                headers: [("X-Key".to_owned(), Secret::new("h3aderS3cret"))].into(),
                ..Notify::default()
            };
            let text = [
                "https://host/hooks/p4thS3cret/?key=qu3ryS3cret", "/hooks/p4thS3cret/", "p4thS3cret",
                "qu3ryS3cret", SECRET, "h3aderS3cret",
            ][part];
            let secrets = SecretSet::new(config.secrets());
            let shown = first_line(format!("{before}{}, see", spelled(text, &ways)).as_bytes(), &secrets);
            for secret in ["p4thS3cret", "qu3ryS3cret", "h3aderS3cret", SECRET] {
                prop_assert!(!SecretSet::new([secret]).are_in(shown.as_bytes()), "{shown}");
                prop_assert!(secret.get(..6).is_none_or(|start| !shown.contains(start)), "a part is shown: {shown}");
            }
        }
    }
}
