//! A TCP proxy between bridge and broker that breaks the network in every way one does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to connections and their bytes; takes effect at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All goes through.
    Pass,
    /// Nothing goes through, nothing is lost; connections stay open and new ones are taken.
    Freeze,
    /// New connections are reset at once; open ones are cut.
    Refuse,
    /// What the client sends vanishes.
    DropUp,
    /// What the server sends (acknowledgements) vanishes.
    DropDown,
}

/// The proxy; clients connect to `port()`.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

/// What every connection looks at.
struct Shared {
    target: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Grows with every cut; a connection older than it is over.
    cuts: watch::Sender<u64>,
    /// Bytes from client to server until the next cut; negative: no such cut.
    budget: AtomicI64,
    connections: AtomicUsize,
}

impl Proxy {
    /// Listens on a free port and passes to `127.0.0.1:target`.
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            target: SocketAddr::from(([127, 0, 0, 1], target)),
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            budget: AtomicI64::new(-1),
            connections: AtomicUsize::new(0),
        });
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, accept }
    }

    /// The port clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Changes what happens.
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

    /// How many connections were made so far.
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

/// One connection, until either side ends it or it is cut.
async fn pass(client: TcpStream, shared: Arc<Shared>) {
    // Both ends close with a reset: nobody mistakes a cut for a goodbye.
    client.set_zero_linger().expect("linger can be set");
    let mut cuts = shared.cuts.subscribe();
    if *shared.mode.borrow() == Mode::Refuse {
        return;
    }
    let Ok(server) = TcpStream::connect(shared.target).await else { return };
    server.set_zero_linger().expect("linger can be set");
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &shared, Mode::DropUp) => {}
        () = pump(from_server, to_client, &shared, Mode::DropDown) => {}
        _ = cuts.changed() => {}
    }
}

/// One direction; `lossy` is the mode in which its bytes vanish.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, lossy: Mode) {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let Ok(now) = mode.wait_for(|mode| *mode != Mode::Freeze).await.map(|mode| *mode) else { return };
        if now == lossy {
            continue;
        }
        let count = if lossy == Mode::DropUp { shared.allowed(count) } else { Some(count) };
        let sent = to.write_all(&buffer[..count.unwrap_or(0)]).await;
        if sent.is_err() || count.is_none() {
            return;
        }
    }
}

impl Shared {
    /// How much of `count` bytes goes through before the cut that is due; `None`, after cutting, if none does.
    fn allowed(&self, count: usize) -> Option<usize> {
        let before = self.budget.load(Ordering::SeqCst);
        if before < 0 {
            return Some(count);
        }
        let wanted = i64::try_from(count).expect("a buffer is small");
        if wanted < before {
            self.budget.store(before - wanted, Ordering::SeqCst);
            return Some(count);
        }
        self.budget.store(-1, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
        None
    }
}
