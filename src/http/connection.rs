//! One connection from its first byte to its last.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::connections::Place;
use super::handshake;
use super::listener::Listener;
use super::wire::{Facts, Wire};

/// The most bytes a request head may have.
const HEAD_MAX: usize = 64 << 10;
/// From the stop signal until a connection is cut: 2 s for its body (kept by the handler), the rest for the answer.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// A TLS record that says "this is no TLS server" (alert, fatal, `protocol_version`).
const TLS_ALERT: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 70];
/// What is said of a head that took too long.
const LATE: &str = "the request head was not complete in the header time";
/// The answer to plain HTTP on the TLS port.
const WANTS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 105\r\n\
    connection: close\r\n\r\n{\"ok\":false,\"error\":\"this port speaks HTTPS\",\"remedy\":\"set the protocol to HTTPS, \
    or use the HTTP port\"}\n";

/// Where a request came from; an extension of each request.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The address of the peer that holds the connection.
    pub peer: IpAddr,
    /// The request came over TLS.
    pub tls: bool,
    pub(super) facts: Arc<Facts>,
}

impl Arrival {
    /// Nothing is known yet but the peer.
    pub(super) fn new(peer: IpAddr, tls: bool) -> Self {
        Self { peer, tls, facts: Arc::default() }
    }
}

/// Serves a connection until it ends, is evicted or is cut by a stop.
pub(super) async fn run(tcp: TcpStream, place: Place, peer: IpAddr, listener: Arc<Listener>) {
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

/// Ends some time after the stop signal.
async fn stopped(listener: &Listener) {
    listener.shutdown.cancelled().await;
    sleep(STOP_GRACE).await;
}

/// Waits for the first byte, and tells TLS from plain HTTP by it.
async fn begin(mut tcp: TcpStream, place: &Arc<Place>, peer: IpAddr, listener: &Listener) {
    place.enter().await;
    let deadline = Instant::now() + Duration::from_secs(listener.limits.load().header_seconds);
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = timeout_at(deadline, tcp.peek(&mut first)) => peeked,
        () = listener.shutdown.cancelled() => return,
    };
    let silence = match peeked {
        Err(_) => Some("it sent nothing until the header time was over".to_owned()),
        Ok(Ok(0)) => Some("it was closed again without a byte".to_owned()),
        Ok(Err(error)) => Some(format!("it broke without a byte: {error}")),
        Ok(Ok(_)) => None,
    };
    if let Some(silence) = silence {
        listener.raise("no_request", peer, &silence);
        return;
    }
    let hello = first == [0x16];
    let tls = listener.tls.as_ref().map(|tls| tls.load_full());
    match (tls, hello) {
        (None, true) => {
            listener.raise("tls_on_plain_port", peer, "a TLS hello came to the port for plain HTTP");
            refuse(tcp, &TLS_ALERT).await;
        }
        (Some(_), false) => {
            listener.raise("plain_on_tls_port", peer, "bytes that are no TLS hello came to the HTTPS port");
            refuse(tcp, WANTS_TLS).await;
        }
        (None, false) => serve(tcp, place, Arrival::new(peer, false), deadline, listener).await,
        (Some(tls), true) => match timeout_at(deadline, handshake::accept(&mut tcp, tls)).await {
            Ok(Ok(stream)) => serve(stream, place, Arrival::new(peer, true), deadline, listener).await,
            Ok(Err(why)) => listener.raise("tls_handshake", peer, &why),
            Err(_) => listener.raise("tls_handshake", peer, "the handshake did not end in the header time"),
        },
    }
}

/// Says why and closes, so that the peer gets to read it.
async fn refuse(tcp: TcpStream, answer: &[u8]) {
    let facts = Arc::<Facts>::default();
    Facts::state(&facts.spoke);
    let mut wire = Wire::new(tcp, facts);
    if wire.write_all(answer).await.and(wire.shutdown().await).is_err() {
        tracing::debug!("the peer was gone before it could be told");
    }
}

/// Speaks HTTP/1 until the connection ends. The first head has to be complete at the deadline; hyper's own timer
/// begins anew here, and is for those that follow on a kept connection.
async fn serve<S>(io: S, place: &Arc<Place>, arrival: Arrival, deadline: Instant, listener: &Listener)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (peer, facts) = (arrival.peer, Arc::clone(&arrival.facts));
    let router = TowerToHyperService::new(listener.router.clone());
    let service = service_fn(|request| answer(router.clone(), request, arrival.clone(), Arc::clone(place)));
    let mut connection = std::pin::pin!(
        builder(listener.limits.load().header_seconds)
            .serve_connection(TokioIo::new(Wire::new(io, Arc::clone(&facts))), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = late(&facts, deadline) => {
            listener.raise("bad_request_head", peer, LATE);
            return;
        }
        () = listener.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    explain(ended, &facts, peer, listener);
}

/// Ends at the deadline if no complete head came until then.
async fn late(facts: &Facts, deadline: Instant) {
    sleep_until(deadline).await;
    if Facts::is(&facts.head) {
        std::future::pending::<()>().await;
    }
}

/// How HTTP/1 is spoken here. No `Date`: answers that must not differ would differ by the second. No
/// `pipeline_flush`: with it hyper 1.12 never sends its 400 while unread bytes of a bad head are left.
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

/// Lets the router answer, and closes the connection afterwards unless the peer asked to keep it.
async fn answer(
    router: TowerToHyperService<Router>,
    mut request: Request<Incoming>,
    arrival: Arrival,
    place: Arc<Place>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    place.head_complete();
    Facts::state(&arrival.facts.head);
    let keep = asks_to_keep(request.headers()) && !Facts::is(&arrival.facts.mended);
    request.extensions_mut().insert(arrival);
    let mut response = router.call(request).await?;
    if !keep {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Whether the peer asks to keep the connection in so many words. Most cameras open a new one for each alarm.
fn asks_to_keep(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("keep-alive"))
}

/// Turns the end of a connection into a finding, where there is something to find.
fn explain(ended: hyper::Result<()>, facts: &Facts, peer: IpAddr, listener: &Listener) {
    let head = Facts::is(&facts.head);
    match ended {
        Ok(()) if head => {}
        Ok(()) => listener.raise("no_request", peer, "it was closed again without a request"),
        Err(error) if error.is_parse() => {
            listener.raise("bad_request_head", peer, &format!("the request head was refused: {error}"));
        }
        Err(error) if error.is_timeout() && !head => {
            listener.raise("bad_request_head", peer, LATE);
        }
        Err(error) if !head => {
            listener.raise("no_request", peer, &format!("it ended before a request was complete: {error}"));
        }
        Err(error) => tracing::debug!(peer = %peer, "the connection ended after a request: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::WANTS_TLS;

    #[test]
    fn the_fixed_answer_has_the_length_it_announces() {
        let text = std::str::from_utf8(WANTS_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
