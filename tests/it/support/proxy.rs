//! A TCP proxy between bridge and broker that simulates network faults.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::overhear::{Acknowledged, Conversation};

/// Treatment of connections and their bytes; takes effect at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All goes through.
    Pass,
    /// Nothing is passed on and nothing is lost; connections stay open and new ones are accepted.
    Freeze,
    /// New connections are reset at once; open ones are cut.
    Refuse,
    /// Bytes from the client are dropped.
    DropUp,
    /// Bytes from the server (acknowledgements) are dropped.
    DropDown,
}

/// The proxy; clients connect to `port()`.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

/// State shared by all connections.
struct Shared {
    target: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Rises with every cut; an older connection is over.
    cuts: watch::Sender<u64>,
    /// Bytes from client to server until the next cut; negative: none is due.
    budget: AtomicI64,
    connections: AtomicUsize,
    /// Record of acknowledgements, if they are recorded.
    acknowledged: Option<Acknowledged>,
}

impl Proxy {
    /// Listens on a free port and passes to `127.0.0.1:target`.
    pub(crate) async fn start(target: u16) -> Self {
        Self::with(target, None).await
    }

    /// Listens like `start`, for MQTT 5, and records which events were acknowledged.
    pub(crate) async fn overhearing(target: u16) -> Self {
        Self::with(target, Some(Acknowledged::default())).await
    }

    async fn with(target: u16, acknowledged: Option<Acknowledged>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            target: SocketAddr::from(([127, 0, 0, 1], target)),
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            budget: AtomicI64::new(-1),
            connections: AtomicUsize::new(0),
            acknowledged,
        });
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, accept }
    }

    /// The port clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sets the mode.
    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Resets every open connection; new ones are taken.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every connection once after this many more bytes from clients.
    pub(crate) fn cut_after(&self, bytes: u32) {
        self.shared.budget.store(i64::from(bytes), Ordering::SeqCst);
    }

    /// Events whose acknowledgement was passed on to the bridge, by id, with the time.
    pub(crate) fn acknowledged(&self) -> HashMap<String, Instant> {
        let all = self.shared.acknowledged.as_ref().expect("it overhears");
        all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
        self.cut();
    }
}

/// Takes connections for ever.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (client, _) = listener.accept().await.expect("the listener works");
        shared.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(pass(client, Arc::clone(&shared)));
    }
}

/// One connection, until both sides have ended it or it is cut.
async fn pass(mut client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    if *shared.mode.borrow() == Mode::Refuse {
        return reset(&client);
    }
    let Ok(mut server) = TcpStream::connect(shared.target).await else { return reset(&client) };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let heard = shared.acknowledged.clone().map(|all| Mutex::new(Conversation::new(all)));
    let both = async {
        let up = pump(from_client, to_server, &shared, Mode::DropUp, heard.as_ref());
        let down = pump(from_server, to_client, &shared, Mode::DropDown, heard.as_ref());
        tokio::try_join!(up, down)
    };
    let ended = tokio::select! {
        result = both => result.is_ok(),
        _ = cuts.changed() => false,
    };
    if !ended {
        reset(&client);
        reset(&server);
    }
}

/// Turns the close into a reset, so that it is not mistaken for a normal end.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().expect("linger can be set");
}

/// One direction, until its end, which is passed on; `lossy` is the mode in which its bytes vanish.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    lossy: Mode,
    heard: Option<&Mutex<Conversation>>,
) -> std::io::Result<()> {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        let now = mode.wait_for(|mode| *mode != Mode::Freeze).await.map(|mode| *mode);
        if count == 0 {
            return to.shutdown().await;
        }
        if now.is_ok_and(|now| now == lossy) {
            continue;
        }
        if lossy == Mode::DropUp && !shared.allows(count) {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        // A publish is noted before it can be answered, an acknowledgement once it is sent.
        let note = |direction| {
            if let (Some(heard), true) = (heard, lossy == direction) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                if direction == Mode::DropUp {
                    heard.up(&buffer[..count])
                } else {
                    heard.down(&buffer[..count])
                }
            }
        };
        note(Mode::DropUp);
        to.write_all(&buffer[..count]).await?;
        note(Mode::DropDown);
    }
}

impl Shared {
    /// Returns whether `count` more bytes may pass before the cut that is due; if not, cuts.
    fn allows(&self, count: usize) -> bool {
        let before = self.budget.load(Ordering::SeqCst);
        if before < 0 {
            return true;
        }
        let left = before - i64::try_from(count).expect("a buffer is small");
        // Below zero no cut is due.
        self.budget.store(left.max(-1), Ordering::SeqCst);
        if left < 0 {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
        left >= 0
    }
}
