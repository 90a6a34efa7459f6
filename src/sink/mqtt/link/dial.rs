//! Transport below MQTT: name look-up, TCP and TLS.
//!
//! The MQTT client gets an open stream. So each failure has its own error, the name in the certificate can be chosen,
//! and the client cannot reconnect by itself and send old messages again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::findings::FindingCode;
use crate::sink::SinkDown;
use crate::sink::mqtt::settings::{MqttSettings, Server};
use crate::tls;
use crate::tls::client::TlsClient;

/// Maximum connect time per address, where a name has several.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);

/// Stream to the broker.
pub(in crate::sink::mqtt) type Stream = Box<dyn ReadWrite>;

/// Traits that the MQTT client requires of a stream.
pub(in crate::sink::mqtt) trait ReadWrite:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// Opens the stream. The caller bounds the time.
pub(in crate::sink::mqtt) async fn dial(settings: &MqttSettings) -> Result<Stream, SinkDown> {
    let tcp = connect(&settings.server).await?;
    if settings.server.tls { secure(settings, tcp).await } else { Ok(Box::new(tcp)) }
}

/// Connects to the first address that answers.
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
        match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // An error only costs latency.
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

/// Starts TLS on the TCP connection.
async fn secure(settings: &MqttSettings, tcp: TcpStream) -> Result<Stream, SinkDown> {
    let client = TlsClient::from_files(&settings.tls.files(), &tls::MQTT).await.map_err(broken)?;
    let name = settings.tls.server_name.as_ref().unwrap_or(&settings.server.host).clone();
    let name = ServerName::try_from(name)
        .map_err(|_| broken("mqtt.server_name is neither a host name nor an address".into()))?;
    let stream = client.connect(name, tcp).await.map_err(broken)?;
    Ok(Box::new(stream))
}

/// Reason for a failed TCP connection.
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

/// Error of an unreachable broker.
fn unreachable(reason: String) -> SinkDown {
    SinkDown { code: FindingCode::BrokerUnreachable, reason }
}

/// Error of a failed TLS handshake.
fn broken(reason: String) -> SinkDown {
    SinkDown { code: FindingCode::BrokerTls, reason }
}
