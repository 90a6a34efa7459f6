//! Connection errors, as sentences that name cause and remedy.

use std::error::Error;
use std::io;

use async_nats::{ConnectError, ConnectErrorKind};
use rustls::Error as TlsError;

use crate::findings::FindingCode;
use crate::sink::SinkDown;
use crate::tls;

/// Creates a [`SinkDown`].
pub(super) fn down(code: FindingCode, reason: impl Into<String>) -> SinkDown {
    SinkDown { code, reason: reason.into() }
}

/// Error of a failed connect to one server. `place` is `host:port`, `who` describes our credentials, both without
/// secrets; `shown`: a client certificate was sent.
pub(super) fn connect(error: &ConnectError, place: &str, who: &str, shown: bool) -> SinkDown {
    if let Some(fault) = find::<TlsError>(error) {
        let why = tls::fault::of_peer(fault, &tls::NATS, shown);
        return down(FindingCode::BrokerTls, format!("TLS to {place} fails: {why}"));
    }
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => down(
            FindingCode::BrokerRefused,
            format!(
                "{place} refuses the login ({who}): authorization violation; correct user and password, \
                 token, nkey or credentials in [nats], or the server's users"
            ),
        ),
        ConnectErrorKind::Authentication => down(
            FindingCode::BrokerRefused,
            format!(
                "the login for {place} ({who}) cannot be signed: the nkey seed or credentials are damaged"
            ),
        ),
        ConnectErrorKind::Dns => down(
            FindingCode::BrokerUnreachable,
            format!("the name of {place} cannot be resolved ({}); correct nats.servers", cause(error)),
        ),
        ConnectErrorKind::TimedOut => {
            down(FindingCode::BrokerUnreachable, format!("{place} does not answer in time; {CHECK_REMEDY}"))
        }
        ConnectErrorKind::Tls => {
            down(FindingCode::BrokerTls, format!("TLS to {place} fails: {}", handshake(error, shown)))
        }
        ConnectErrorKind::Io => io_reason(error, place),
        _ => down(FindingCode::BrokerUnreachable, format!("{place} cannot be connected to: {error}")),
    }
}

/// Remedy when nothing answers.
const CHECK_REMEDY: &str = "check address and port in nats.servers, the firewall, and that nats-server runs";

/// Error of the network connection.
fn io_reason(error: &ConnectError, place: &str) -> SinkDown {
    let words = cause(error);
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => down(
            FindingCode::BrokerUnreachable,
            format!("nobody listens at {place} (connection refused); {CHECK_REMEDY}"),
        ),
        _ if words.starts_with("nats: ") => {
            down(FindingCode::BrokerRefused, format!("{place} refuses the connection: {words}"))
        }
        _ => down(
            FindingCode::BrokerUnreachable,
            format!(
                "{place} breaks the connection ({words}): no NATS client port, or TLS is required; {CHECK_REMEDY}"
            ),
        ),
    }
}

/// Reason for a failed TLS handshake without a TLS error: the peer closed the connection, or no CA is trusted.
fn handshake(error: &ConnectError, shown: bool) -> String {
    match find::<io::Error>(error) {
        Some(error) if error.kind() != io::ErrorKind::Other => tls::handshake(error, &tls::NATS, shown),
        _ => "this system's CA certificates cannot be read: install ca-certificates, or set nats.ca".into(),
    }
}

/// Text of the innermost error.
fn cause(error: &ConnectError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// First error of a type in the chain, also inside `io::Error`s.
fn find<E: Error + 'static>(error: &ConnectError) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<E>()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
