//! Why there is no session, in words that name cause and remedy.

use std::error::Error;
use std::io;

use async_nats::{ConnectError, ConnectErrorKind};
use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage};

use crate::sink::SinkDown;

/// Shorthand.
pub(super) fn down(code: &'static str, reason: impl Into<String>) -> SinkDown {
    SinkDown { code, reason: reason.into() }
}

/// What a failed attempt at one server means. `place` is `host:port`, `who` how we log in, both without secrets.
pub(super) fn connect(error: &ConnectError, place: &str, who: &str) -> SinkDown {
    if let Some(tls) = find::<TlsError>(error) {
        return down("broker_tls", format!("TLS to {place} fails: {}", tls_reason(tls)));
    }
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => down(
            "broker_refused",
            format!(
                "{place} refuses the login ({who}): authorization violation; correct user and password, \
                 token, nkey or credentials in [nats], or the server's users"
            ),
        ),
        ConnectErrorKind::Authentication => down(
            "broker_refused",
            format!(
                "the login for {place} ({who}) cannot be signed: the nkey seed or credentials are damaged"
            ),
        ),
        ConnectErrorKind::Dns => down(
            "broker_unreachable",
            format!("the name of {place} cannot be resolved ({}); correct nats.servers", cause(error)),
        ),
        ConnectErrorKind::TimedOut => {
            down("broker_unreachable", format!("{place} does not answer in time; {CHECK}"))
        }
        ConnectErrorKind::Tls => down("broker_tls", format!("TLS to {place} fails: {}", cause(error))),
        ConnectErrorKind::Io => io_reason(error, place),
        _ => down("broker_unreachable", format!("{place} cannot be connected to: {error}")),
    }
}

/// What to look at when nobody answers.
const CHECK: &str = "check address and port in nats.servers, the firewall, and that nats-server runs";

/// What went wrong between the sockets.
fn io_reason(error: &ConnectError, place: &str) -> SinkDown {
    let words = cause(error);
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            down("broker_unreachable", format!("nobody listens at {place} (connection refused); {CHECK}"))
        }
        _ if words.starts_with("nats: ") => {
            down("broker_refused", format!("{place} refuses the connection: {words}"))
        }
        _ => down(
            "broker_unreachable",
            format!(
                "{place} breaks the connection ({words}): no NATS client port, or TLS is required; {CHECK}"
            ),
        ),
    }
}

/// The innermost words.
fn cause(error: &ConnectError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// The first error of a type in the chain, also inside `io::Error`s.
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

/// A TLS error with its remedy.
fn tls_reason(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the server's certificate has expired ({error}); renew it, or correct this host's clock")
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => format!("the server's certificate is not valid yet ({error}); correct the clocks"),
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the server's certificate is for another host ({error}); use a name it holds in nats.servers"
        ),
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate is from an unknown CA; set nats.ca to the CA's certificate (PEM)".into()
        }
        TlsError::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "the server does not speak TLS; write nats:// and unset nats.ca, or turn TLS on there".into(),
        TlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => format!(
            "the server refuses our client certificate ({error}); set nats.cert and nats.key to one it trusts"
        ),
        other => other.to_string(),
    }
}
