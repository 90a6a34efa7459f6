//! An MQTT 5 broker that ends the connection for topics it refuses, as some hosted brokers do.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Way in which it refuses a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// PUBACK with reason 0x87, then the end of the stream.
    Puback,
    /// DISCONNECT with reason 0x87.
    Disconnect,
    /// End of the stream, without a reason.
    Close,
}

/// Observations of the broker.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Topic and payload of each accepted message; an emptied topic has an empty payload.
    pub(crate) accepted: Vec<(String, Vec<u8>)>,
    /// Topics for which it ended a connection.
    pub(crate) refused: Vec<String>,
}

/// A running broker.
pub(crate) struct CuttingBroker {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for CuttingBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CuttingBroker {
    /// Starts one that refuses a message by topic and payload.
    pub(crate) async fn start(cut: Cut, refuses: fn(&str, &[u8]) -> bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&shared);
                connections.spawn(async move { serve(stream, cut, refuses, &seen).await.ok() });
            }
        });
        Self { port, seen, task }
    }

    /// The address for a bridge's configuration.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Observations so far.
    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    mut stream: TcpStream,
    cut: Cut,
    refuses: fn(&str, &[u8]) -> bool,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    loop {
        let head = stream.read_u8().await?;
        let length = variable(&mut stream).await?;
        let mut packet = vec![0; length];
        stream.read_exact(&mut packet).await?;
        match head >> 4 {
            1 => stream.write_all(&[0x20, 3, 0, 0, 0]).await?,
            3 => {
                let (topic, id, payload) = publish(&packet);
                if refuses(&topic, &payload) {
                    lock(seen).refused.push(topic);
                    match cut {
                        Cut::Puback => stream.write_all(&[0x40, 3, id[0], id[1], 0x87]).await?,
                        Cut::Disconnect => stream.write_all(&[0xe0, 2, 0x87, 0]).await?,
                        Cut::Close => {}
                    }
                    return Ok(());
                }
                lock(seen).accepted.push((topic, payload));
                stream.write_all(&[0x40, 3, id[0], id[1], 0]).await?;
            }
            8 => {
                let filters = subscriptions(&packet);
                let mut answer = vec![0x90, u8::try_from(3 + filters).expect("few"), packet[0], packet[1], 0];
                answer.resize(answer.len() + filters, 1);
                stream.write_all(&answer).await?;
            }
            12 => stream.write_all(&[0xd0, 0]).await?,
            14 => return Ok(()),
            _ => {}
        }
    }
}

/// A length of one to four bytes.
async fn variable(stream: &mut TcpStream) -> io::Result<usize> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = stream.read_u8().await?;
        value |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return Ok(value);
        }
    }
}

/// Topic, packet identifier and payload of a PUBLISH at QoS 1.
fn publish(packet: &[u8]) -> (String, [u8; 2], Vec<u8>) {
    let length = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
    let topic = String::from_utf8(packet[2..2 + length].to_vec()).expect("a topic is text");
    let mut at = 4 + length;
    let (mut properties, mut shift) = (0, 0);
    loop {
        let byte = packet[at];
        at += 1;
        properties |= usize::from(byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            break;
        }
    }
    (topic, [packet[2 + length], packet[3 + length]], packet[at + properties..].to_vec())
}

/// Number of filters of a SUBSCRIBE.
fn subscriptions(packet: &[u8]) -> usize {
    let (mut at, mut count) = (3 + usize::from(packet[2]), 0);
    while at < packet.len() {
        at += 3 + usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        count += 1;
    }
    count
}
