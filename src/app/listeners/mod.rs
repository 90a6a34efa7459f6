//! Binds the listeners and reports their addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use tokio::net::TcpListener;

use super::secrets::write_private;

pub(super) mod access;
pub(super) mod admin;
pub(super) mod certificates;
pub mod control;
mod misdirected;
pub(super) mod sockets;

/// Addresses of all listeners, as written to the ready file and to `running.json` in the storage folder.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Base URLs that cameras push to.
    pub ingest: Vec<String>,
    /// Webhook URLs, including the secret paths.
    pub webhooks: Vec<String>,
    /// URL of page, API, metrics and health.
    pub admin: String,
    /// URL of the embedded broker, if it runs.
    pub mqtt: Option<String>,
}

/// Binds a listener.
///
/// # Errors
/// Fails when the address is in use, not an address of this machine, or not permitted; the message names the key to
/// change.
pub async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let hint = || {
        format!("{address} cannot be listened on: is it taken by another program? Set {key} to a free one")
    };
    TcpListener::bind(address).await.with_context(hint)
}

/// Address that reaches a bound address from this machine.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Returns whether the bridge runs in a container, whose addresses are not those by which others reach the machine.
fn in_container() -> bool {
    // Container managers set this variable for the first process; our images set it as well.
    std::env::var_os("container").is_some_and(|kind| !kind.is_empty())
}

/// Address of this machine on the default route. No packet is sent. `None` in a container.
#[must_use]
pub fn lan_address() -> Option<IpAddr> {
    if in_container() {
        return None;
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address reserved for documentation (RFC 5737); connecting a UDP socket only queries the routing table.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

/// Addresses of this machine without loopback: the one of the default route first, then those the kernel lists as
/// local. Empty in a container.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    if in_container() {
        return Vec::new();
    }
    let mut all: Vec<IpAddr> = lan_address().into_iter().collect();
    // In this file a local address `|-- 192.168.0.5` is followed by `/32 host LOCAL`.
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
    /// Writes the addresses to the ready file, and to `running.json`, which `alarmbus simulate` and other commands
    /// read.
    ///
    /// # Errors
    /// Fails when the ready file cannot be written.
    pub fn announce(&self, ready_file: Option<&Path>, storage: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self)?;
        if let Err(error) = write_private(&storage.join(crate::simulate::target::RUNNING), text.as_bytes()) {
            tracing::debug!("running.json could not be written: {error}");
        }
        let Some(file) = ready_file else { return Ok(()) };
        write_private(file, text.as_bytes())
            .with_context(|| format!("the ready file {} cannot be written", file.display()))
    }

    /// Logs one line per listener with secrets masked.
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
