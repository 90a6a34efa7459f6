//! TLS client of every connection that the program opens itself: to a broker, to a bridge, to the target of simulated
//! alarms.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files::{self, Files};
use super::{Peer, handshake, unchecked};

/// Client settings for one kind of peer; cheap to clone.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    peer: &'static Peer,
    /// A client certificate is sent if the peer asks for one.
    shows_certificate: bool,
}

impl TlsClient {
    /// Reads certificates and keys. It is called at each connect, so that a renewed certificate is used.
    ///
    /// # Errors
    /// Returns the key, the file, the cause and the remedy.
    pub async fn from_files(files: &Files<'_>, peer: &'static Peer) -> Result<Self, String> {
        let config = Arc::new(files::client_config(files).await?);
        Ok(Self { config, peer, shows_certificate: files.cert.is_some() })
    }

    /// Creates a client that accepts every certificate and sends none.
    ///
    /// # Errors
    /// Fails when the crypto provider lacks the default protocol versions.
    pub fn unchecked(peer: &'static Peer) -> Result<Self, rustls::Error> {
        Ok(Self { config: Arc::new(unchecked::client_config()?), peer, shows_certificate: false })
    }

    /// Starts TLS on a connection.
    ///
    /// # Errors
    /// Returns the cause and the remedy.
    pub async fn connect<S>(&self, name: ServerName<'static>, stream: S) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connected = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
        connected.map_err(|error| handshake(&error, self.peer, self.shows_certificate))
    }

    /// Prepares TLS on a blocking connection; the handshake takes place at the first read or write.
    ///
    /// # Errors
    /// Fails when the name cannot be used.
    pub fn blocking(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Error of a blocking connection with cause and remedy.
    #[must_use]
    pub fn explain(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), handshake(error, self.peer, self.shows_certificate))
    }
}
