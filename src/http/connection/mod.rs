//! One connection, from accept to close.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::{CONNECTION, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::findings::FindingCode;
use connections::ConnectionSlot;
use listener::Listener;
use wire::{Wire, WireFacts};

pub(super) mod connections;
mod handshake;
pub(super) mod listener;
pub(super) mod target;
mod unframed;
pub(super) mod wire;

/// Maximum bytes of a request head.
const HEAD_MAX: usize = 64 << 10;
/// Time from the stop signal until a connection is closed: 2 s for its body (enforced by the handler), the rest for the
/// response.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// Time that a camera's connection may be idle after a response. Some senders read until the connection ends, and wait
/// for it. It is not a whole number of seconds, because devices repeat alarms after whole seconds.
const IDLE_TIMEOUT: Duration = Duration::from_millis(1_200);
/// Maximum time for closing an idle connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// TLS record with the fatal alert `protocol_version`, for a peer that tries TLS on a plain port.
const TLS_ALERT: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 70];
/// Detail of the finding for a head that took too long.
const LATE_HEAD: &str = "the request head was not complete in the header time";
/// Response to plain HTTP on the TLS port.
const PLAIN_HTTP_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 111\r\n\
    connection: close\r\n\r\n{\"ok\":false,\"error\":\"this port accepts only HTTPS\",\"remedy\":\"set the protocol to HTTPS, \
    or use the HTTP port\"}\n";

/// Origin of a request; an extension of each request.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Address of the connection's peer.
    pub peer: IpAddr,
    /// Set if the request came over TLS.
    pub tls: bool,
    pub(super) facts: Arc<WireFacts>,
}

impl Arrival {
    /// Creates it for a peer.
    pub(crate) fn new(peer: IpAddr, tls: bool) -> Self {
        Self { peer, tls, facts: Arc::default() }
    }
}

/// Serves a connection until it ends, is evicted or is closed by a stop.
async fn run(tcp: TcpStream, place: ConnectionSlot, peer: IpAddr, listener: Arc<Listener>) {
    let place = Arc::new(place);
    tokio::select! {
        biased;
        () = place.evicted() => {
            tracing::debug!(peer = %peer, "a connection without a request was closed to make room for another");
        }
        () = stopped(&listener) => {}
        () = begin(tcp, &place, peer, &listener) => {}
    }
}

/// Waits until the grace period after the stop signal is over.
async fn stopped(listener: &Listener) {
    listener.shutdown.cancelled().await;
    sleep(STOP_GRACE).await;
}

/// Waits for the first byte, which distinguishes TLS from plain HTTP.
async fn begin(mut tcp: TcpStream, place: &Arc<ConnectionSlot>, peer: IpAddr, listener: &Listener) {
    place.enter().await;
    let deadline = Instant::now() + Duration::from_secs(listener.limits.load().header_seconds);
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = timeout_at(deadline, tcp.peek(&mut first)) => peeked,
        () = listener.shutdown.cancelled() => return,
    };
    let silence = match peeked {
        Err(_) => Some("it sent nothing until the header time was over".to_owned()),
        Ok(Ok(0)) => Some("it was closed before the first byte".to_owned()),
        Ok(Err(error)) => Some(format!("it broke before the first byte: {error}")),
        Ok(Ok(_)) => None,
    };
    if let Some(silence) = silence {
        listener.raise(FindingCode::NoRequest, peer, &silence);
        return;
    }
    let hello = first == [0x16];
    let tls = listener.tls.as_ref().map(|tls| tls.load_full());
    match (tls, hello) {
        (None, true) => {
            listener.raise(
                FindingCode::TlsOnPlainPort,
                peer,
                "a TLS handshake began on the port for plain HTTP",
            );
            refuse(tcp, &TLS_ALERT).await;
        }
        (Some(_), false) => {
            listener.raise(
                FindingCode::PlainOnTlsPort,
                peer,
                "the first bytes on the HTTPS port are not a TLS handshake",
            );
            refuse(tcp, PLAIN_HTTP_RESPONSE).await;
        }
        (None, false) => serve(tcp, place, Arrival::new(peer, false), deadline, listener).await,
        (Some(tls), true) => match timeout_at(deadline, handshake::accept(&mut tcp, tls)).await {
            Ok(Ok(stream)) => serve(stream, place, Arrival::new(peer, true), deadline, listener).await,
            Ok(Err(why)) => listener.raise(FindingCode::TlsHandshake, peer, &why),
            Err(_) => listener.raise(
                FindingCode::TlsHandshake,
                peer,
                "the handshake did not end in the header time",
            ),
        },
    }
}

/// Sends an error and closes the connection such that the peer can read it.
async fn refuse(tcp: TcpStream, answer: &[u8]) {
    let facts = Arc::<WireFacts>::default();
    WireFacts::state(&facts.spoke);
    let mut wire = Wire::new(tcp, facts);
    if wire.write_all(answer).await.and(wire.shutdown().await).is_err() {
        tracing::debug!("the peer disconnected before the error was sent");
    }
}

/// Serves HTTP/1 until the connection ends. The first head must be complete at the deadline; hyper's own timer starts
/// again here and is for later requests on the connection.
async fn serve<S>(
    io: S,
    place: &Arc<ConnectionSlot>,
    arrival: Arrival,
    deadline: Instant,
    listener: &Listener,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (peer, facts) = (arrival.peer, Arc::clone(&arrival.facts));
    let router = TowerToHyperService::new(listener.router.clone());
    let service = service_fn(|request| answer(router.clone(), request, arrival.clone(), Arc::clone(place)));
    // No idle limit on the admin listener: pages stream events, to which a browser sends no response.
    let idle = listener.findings.as_ref().map(|_| IDLE_TIMEOUT);
    let wire = Wire::new(io, Arc::clone(&facts)).at(Arc::clone(place), idle);
    let mut connection =
        builder(listener.limits.load().header_seconds).serve_connection(TokioIo::new(wire), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = late(&facts, deadline) => {
            listener.raise(FindingCode::BadRequestHead, peer, LATE_HEAD);
            return;
        }
        () = listener.shutdown.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let parts = connection.into_parts();
    if ended.is_err() {
        // hyper drops a connection that was idle too long without closing TLS, which the peer would report as
        // truncated.
        let mut wire = parts.io.into_inner();
        if timeout(CLOSE_TIMEOUT, wire.shutdown()).await.is_err() {
            tracing::debug!(peer = %peer, "the peer did not accept the close of the connection");
        }
    }
    explain(ended, &parts.read_buf, &facts, peer, listener);
}

/// Waits until the deadline, or forever once a complete head arrived.
async fn late(facts: &WireFacts, deadline: Instant) {
    sleep_until(deadline).await;
    if WireFacts::is(&facts.head) {
        std::future::pending::<()>().await;
    }
}

/// HTTP/1 settings. No `Date`: responses that must be identical would differ by the second. No `pipeline_flush`: with
/// it hyper 1.12 never sends its 400 while unread bytes of a bad head remain.
fn builder(header_seconds: u64) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(header_seconds))
        .half_close(true)
        .max_buf_size(HEAD_MAX)
        .auto_date_header(false);
    builder
}

/// Passes the request to the router. The connection is kept open as HTTP specifies: with HTTP/1.1 unless the peer asks
/// to close it, with HTTP/1.0 only if the peer asks for it. It is closed if the byte stream was changed for the first
/// request.
async fn answer(
    router: TowerToHyperService<Router>,
    mut request: Request<Incoming>,
    arrival: Arrival,
    place: Arc<ConnectionSlot>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    place.head_complete();
    let facts = Arc::clone(&arrival.facts);
    facts.answered.store(false, std::sync::atomic::Ordering::Relaxed);
    WireFacts::state(&facts.head);
    let (repaired, unframed) = (WireFacts::is(&facts.repaired), WireFacts::is(&facts.unframed));
    if unframed {
        // The parser received a chunked body; the router sees the request as it was sent.
        request.headers_mut().remove(TRANSFER_ENCODING);
        if WireFacts::is(&facts.old) {
            *request.version_mut() = Version::HTTP_10;
        }
    }
    let keep = asks_to_keep(&request) && !repaired && !unframed;
    let old = request.version() == Version::HTTP_10;
    request.extensions_mut().insert(arrival);
    let mut response = router.call(request).await?;
    if !keep {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    } else if old && !response.headers().contains_key(CONNECTION) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    WireFacts::state(&facts.answered);
    Ok(response)
}

/// Returns whether the peer wants the connection kept (RFC 9112, 9.3).
fn asks_to_keep<B>(request: &Request<B>) -> bool {
    let lines = request.headers().get_all(CONNECTION);
    let says = |word: &str| {
        let mut words = lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        words.any(|token| token.trim().eq_ignore_ascii_case(word))
    };
    !says("close") && (request.version() == Version::HTTP_11 || says("keep-alive"))
}

/// Raises a finding for an abnormal end of a connection; `left` holds received bytes that were not read.
fn explain(ended: hyper::Result<()>, left: &[u8], facts: &WireFacts, peer: IpAddr, listener: &Listener) {
    let head = WireFacts::is(&facts.head);
    let behind = WireFacts::is(&facts.behind) || !left.trim_ascii().is_empty();
    match ended {
        Err(error) if head && error.is_parse() => {
            listener.raise(
                FindingCode::BytesBehindRequest,
                peer,
                &format!("the following bytes are not a request: {error}"),
            );
        }
        Err(error) if head && error.is_timeout() && behind => {
            listener.raise(FindingCode::BadRequestHead, peer, LATE_HEAD);
        }
        Ok(()) if head && behind && !WireFacts::is(&facts.unread) => {
            let detail = "the connection was to be closed after the answer, and later bytes were not read";
            listener.raise(FindingCode::BytesBehindRequest, peer, detail);
        }
        Ok(()) if head => {}
        Ok(()) => listener.raise(FindingCode::NoRequest, peer, "it was closed without a request"),
        Err(error) if error.is_parse() => {
            listener.raise(
                FindingCode::BadRequestHead,
                peer,
                &format!("the request head was refused: {error}"),
            );
        }
        Err(error) if error.is_timeout() && !head => {
            listener.raise(FindingCode::BadRequestHead, peer, LATE_HEAD);
        }
        Err(error) if !head => {
            listener.raise(
                FindingCode::NoRequest,
                peer,
                &format!("it ended before a request was complete: {error}"),
            );
        }
        Err(error) => tracing::debug!(peer = %peer, "the connection ended after a request: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::PLAIN_HTTP_RESPONSE;

    #[test]
    fn the_fixed_answer_has_the_length_it_announces() {
        let text = std::str::from_utf8(PLAIN_HTTP_RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
