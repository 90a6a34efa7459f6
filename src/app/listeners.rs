//! Binds the listeners and says where they are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use tokio::net::TcpListener;

use super::identity::write_private;

/// Where everything listens: the ready file, and `running.json` in the storage folder.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Where cameras push to.
    pub ingest: Vec<String>,
    /// The same with the secret paths.
    pub webhooks: Vec<String>,
    /// Page, API, metrics and health.
    pub admin: String,
    /// The embedded broker, if it runs.
    pub mqtt: Option<String>,
}

/// Binds a listener.
///
/// # Errors
/// When the address is taken, not this machine's, or not permitted; the message says which key to change.
pub async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let hint = || {
        format!("{address} cannot be listened on: is it taken by another program? Set {key} to a free one")
    };
    TcpListener::bind(address).await.with_context(hint)
}

/// How this machine itself reaches an address it listens on.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether we run in a container: its addresses are not those by which others reach the machine.
fn in_container() -> bool {
    // What container managers say to the first process; our images say it for those that do not.
    std::env::var_os("container").is_some_and(|kind| !kind.is_empty())
}

/// The address of this machine in its network, as others would reach it; no packet is sent to find out. None in a
/// container.
#[must_use]
pub fn lan_address() -> Option<IpAddr> {
    if in_container() {
        return None;
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address of documentation: only the routing table is asked.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

/// The addresses of this machine that others may reach it by: the one of the default route first, then what else the
/// kernel lists as its own, without loopback. None in a container.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    if in_container() {
        return Vec::new();
    }
    let mut all: Vec<IpAddr> = lan_address().into_iter().collect();
    // `|-- 192.168.0.5` is followed by `/32 host LOCAL` where it is our own.
    let text = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut last = None;
    for line in text.lines() {
        if line.contains("/32 host LOCAL") {
            all.extend(last);
        }
        last = line.trim_start().strip_prefix("|-- ").and_then(|address| address.parse::<IpAddr>().ok());
    }
    let text = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let global = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (digits, scope) = (words.next()?, words.nth(2)?);
        let bits = u128::from_str_radix(digits, 16).ok()?;
        (scope == "00").then_some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
    };
    all.extend(text.lines().filter_map(global));
    all.retain(|ip| !ip.is_loopback() && !ip.is_unspecified());
    let mut seen = std::collections::HashSet::new();
    all.retain(|ip| seen.insert(*ip));
    all
}

impl Ready {
    /// Writes it where it was asked for, and where `alarmbus simulate` and others look for it.
    ///
    /// # Errors
    /// When the ready file cannot be written.
    pub fn announce(&self, ready_file: Option<&Path>, storage: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self)?;
        if let Err(error) = write_private(&storage.join(crate::simulate::target::RUNNING), text.as_bytes()) {
            tracing::debug!("running.json could not be written: {error}");
        }
        let Some(file) = ready_file else { return Ok(()) };
        write_private(file, text.as_bytes())
            .with_context(|| format!("the ready file {} cannot be written", file.display()))
    }

    /// One line per listener, secrets masked.
    pub fn log(&self) {
        for url in &self.ingest {
            let listener = if url.starts_with("https") { "https" } else { "http" };
            tracing::info!(listener, "cameras push to {url}/alarm/***");
        }
        tracing::info!(listener = "admin", "page, API and health at {}", self.admin);
        if let Some(url) = &self.mqtt {
            tracing::info!(listener = "broker", "embedded MQTT broker at {url}");
        }
    }
}
