//! TLS handshake of one connection. A failure reports the versions and ciphers that the peer offered, which
//! distinguishes an old camera from a wrong certificate.

use std::io;
use std::sync::Arc;

use rustls::{CipherSuite, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::fault;

/// Maximum number of offered ciphers that are named.
const MAX_NAMED: usize = 12;
/// Bytes of a ClientHello that are parsed; ciphers are near its start.
const EXAMINED_BYTES: usize = 1_024;
/// Bytes of the record header and the handshake message header.
const HEADER_BYTES: usize = 5 + 4;

/// Performs the handshake.
///
/// # Errors
/// Returns the reason as text.
pub(in crate::http) async fn accept(
    tcp: &mut TcpStream,
    config: Arc<ServerConfig>,
) -> Result<TlsStream<&mut TcpStream>, String> {
    let mut hello = [0; EXAMINED_BYTES];
    let length = tcp.peek(&mut hello).await.unwrap_or_default();
    let accepted = TlsAcceptor::from(config).accept(tcp).await;
    let hello = hello.get(..length).unwrap_or_default();
    accepted.map_err(|error| format!("{}; it offers {}", why(&error), offered(hello)))
}

/// Reason for a failure as text.
fn why(error: &io::Error) -> String {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    fault.map_or_else(|| "the peer closed the connection in the TLS handshake".to_owned(), fault::of_client)
}

/// Describes the offer of a ClientHello as far as it can be parsed.
fn offered(hello: &[u8]) -> String {
    parse(hello).map_or_else(
        || "nothing that could be read".to_owned(),
        |(version, suites)| format!("{} with {}", named(version), ciphers(&suites)),
    )
}

/// Version (TLS 1.3 sends 1.2 here) and ciphers of a ClientHello (RFC 5246, 7.4.1.2; RFC 8446, 4.1.2).
fn parse(hello: &[u8]) -> Option<([u8; 2], Vec<CipherSuite>)> {
    let (version, rest) = hello.get(HEADER_BYTES..)?.split_first_chunk::<2>()?;
    let (_random, rest) = rest.split_first_chunk::<32>()?;
    let (&session, rest) = rest.split_first()?;
    let (length, rest) = rest.get(usize::from(session)..)?.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let pairs = rest.get(..length)?.as_chunks::<2>().0;
    Some((*version, pairs.iter().map(|pair| CipherSuite::from(u16::from_be_bytes(*pair))).collect()))
}

/// Name of a version number.
fn named(version: [u8; 2]) -> &'static str {
    match version {
        [2, 0] => "SSL 2.0 (refused: too old)",
        [3, 0] => "SSL 3.0 (refused: too old)",
        [3, 1] => "TLS 1.0 (refused: too old)",
        [3, 2] => "TLS 1.1 (refused: too old)",
        [3, 3] => "TLS 1.2 or newer",
        _ => "an unknown version",
    }
}

/// Ciphers of old devices for which rustls has no name (IANA's registry of TLS cipher suites).
const OLD_CIPHERS: [(u16, &str); 14] = [
    (0x0005, "TLS_RSA_WITH_RC4_128_SHA"),
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
];

/// Names of the first ciphers in a list.
fn ciphers(suites: &[CipherSuite]) -> String {
    let name = |suite: &CipherSuite| {
        let old = OLD_CIPHERS.iter().find(|(number, _)| *number == u16::from(*suite));
        old.map_or_else(|| format!("{suite:?}"), |(_, name)| (*name).to_owned())
    };
    let mut names: Vec<String> = suites.iter().take(MAX_NAMED).map(name).collect();
    if suites.len() > MAX_NAMED {
        names.push(format!("{} more", suites.len() - MAX_NAMED));
    }
    if names.is_empty() { "no cipher".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use rustls::CipherSuite;

    #[test]
    fn what_is_offered_is_named_and_cut() {
        let old = [CipherSuite::from(0x2f); 20];
        let text = super::ciphers(&old);
        assert!(text.starts_with("TLS_RSA_WITH_AES_128_CBC_SHA, ") && text.ends_with(", 8 more"), "{text}");
        assert_eq!(super::ciphers(&[]), "no cipher");
        assert_eq!(super::named([3, 1]), "TLS 1.0 (refused: too old)");
    }

    #[test]
    fn a_cut_hello_is_read_as_far_as_it_goes() {
        let mut hello = vec![0x16, 3, 1, 0, 47, 1, 0, 0, 43, 3, 2];
        hello.extend([7; 32]);
        hello.extend([0, 0, 4, 0, 0x2f, 0, 0x35, 1, 0]);
        assert!(
            super::offered(&hello).ends_with("TLS_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_256_CBC_SHA")
        );
        for length in 0..hello.len() {
            super::offered(&hello[..length]);
        }
        assert_eq!(super::offered(b"\x16"), "nothing that could be read");
    }
}
