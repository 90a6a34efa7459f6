//! The stream below MQTT: name, TCP and TLS.
//!
//! The MQTT client is handed a finished stream. So each failure is known by its own error, the certificate's name
//! is ours to choose, and the client cannot reconnect by itself and send stale messages again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::settings::{MqttSettings, Server};
use super::tls;
use crate::sink::SinkDown;

/// How long one address of several may take.
const PER_ADDRESS: Duration = Duration::from_secs(4);

/// A stream to the broker, of whatever make.
pub(super) type Stream = Box<dyn ReadWrite>;

/// What the MQTT client needs of a stream.
pub(super) trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// Opens the stream. The caller bounds the time.
pub(super) async fn dial(settings: &MqttSettings) -> Result<Stream, SinkDown> {
    let tcp = connect(&settings.server).await?;
    if settings.server.tls { secure(settings, tcp).await } else { Ok(Box::new(tcp)) }
}

/// TCP to the first address that answers.
async fn connect(server: &Server) -> Result<TcpStream, SinkDown> {
    let addresses = lookup_host((server.host.as_str(), server.port)).await.map_err(|error| {
        unreachable(format!(
            "the name {:?} is not known to DNS ({error}): check mqtt.server (in a container, the name of the broker's \
             service)",
            server.host
        ))
    })?;
    let mut failure = unreachable(format!("the name {:?} has no address", server.host));
    for address in addresses {
        match timeout(PER_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Only a delay is lost when the system refuses.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Ok(Err(error)) => failure = unreachable(refused(&error, address)),
            Err(_) => {
                failure =
                    unreachable(format!("{address} does not answer: check address, network and firewall"))
            }
        }
    }
    Err(failure)
}

/// TLS over it.
async fn secure(settings: &MqttSettings, tcp: TcpStream) -> Result<Stream, SinkDown> {
    let config = tls::client_config(&settings.tls).await.map_err(broken)?;
    let name = settings.tls.server_name.as_ref().unwrap_or(&settings.server.host).clone();
    let name = ServerName::try_from(name)
        .map_err(|_| broken("mqtt.server_name is neither a host name nor an address".into()))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| {
        broken(tls::explain(&error).unwrap_or_else(|| {
            format!("the peer cut the TLS handshake ({error}): check that this is the broker's TLS port")
        }))
    })?;
    Ok(Box::new(stream))
}

/// Why TCP failed.
fn refused(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nothing listens at {address}: start the broker, or correct mqtt.server")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("there is no route to {address}: check network and address")
        }
        _ => format!("{address} cannot be reached: {error}"),
    }
}

/// The broker is not there.
fn unreachable(reason: String) -> SinkDown {
    SinkDown { code: "broker_unreachable", reason }
}

/// TLS does not come about.
fn broken(reason: String) -> SinkDown {
    SinkDown { code: "broker_tls", reason }
}
