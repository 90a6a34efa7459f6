//! TLS to brokers and of our own listeners: certificate files, and errors as sentences with a remedy.
//!
//! Errors of the TLS library are never shown as they are. MQTT, NATS, the listeners, `healthcheck` and `simulate` all
//! take their sentences from here.

use std::io;

use rustls::Error;

pub mod certificate;
pub mod client;
pub mod fault;
pub mod files;
mod peer;
pub mod server;
mod unchecked;

pub use peer::{BRIDGE, MQTT, NATS, NOTIFY, Peer};

/// Reason for a TLS failure with a remedy; `None` for an error that is not from TLS. `shown`: a client certificate was
/// sent.
#[must_use]
pub fn explain(error: &io::Error, peer: &Peer, shown: bool) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(fault::of_peer(error, peer, shown))
}

/// Reason for a failed handshake, also when the peer closed the connection without a TLS alert.
#[must_use]
pub fn handshake(error: &io::Error, peer: &Peer, shown: bool) -> String {
    if let Some(words) = explain(error, peer, shown) {
        return words;
    }
    let Peer { name, plain, client, .. } = peer;
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("{name} does not answer the TLS handshake: this may not be a TLS port; {plain}")
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            let certificate =
                if shown { String::new() } else { format!("; if it wants a client certificate, {client}") };
            format!(
                "{name} closed the connection in the TLS handshake: this may not be a TLS port; {plain}{certificate}"
            )
        }
        _ => format!("the connection to {name} broke in the TLS handshake ({error}): check the network"),
    }
}
