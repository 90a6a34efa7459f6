//! Who sent a request: the peer's address, or the one a trusted proxy vouches for.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::findings::Findings;
use crate::model::{Alarm, Mac};

/// From so many MAC addresses on, one peer address is shared (DESIGN 3).
const SHARED: usize = 3;
/// Peer addresses watched for this at once.
const WATCHED: usize = 4_096;

/// The address a request comes from: the rightmost one in `X-Forwarded-For` that is no trusted proxy, if the peer
/// is one; else the peer's own. An entry that is no address ends the search: it proves nothing.
pub(super) fn effective(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |ip: &IpAddr| proxies.iter().any(|network| network.contains(ip));
    let mut nearest = peer;
    if !trusted(&peer) {
        return peer;
    }
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for entry in lines.iter().flat_map(|line| line.split(',')).rev() {
        let Some(ip) = address(entry.trim()) else { break };
        nearest = ip;
        if !trusted(&ip) {
            break;
        }
    }
    nearest
}

/// An address with or without brackets and port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(IpAddr::to_canonical(&ip))
}

/// Watches for addresses that several devices push from: a recorder, a proxy or NAT. Never used as identity.
#[derive(Debug, Default)]
pub(super) struct SharedAddresses {
    seen: Mutex<HashMap<IpAddr, BTreeSet<Mac>>>,
}

impl SharedAddresses {
    /// Takes note of the devices of a report.
    pub(super) fn note(&self, peer: IpAddr, alarms: &[Alarm], findings: &Findings) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= WATCHED && !seen.contains_key(&peer) {
            return;
        }
        let macs = seen.entry(peer).or_default();
        let before = macs.len();
        for mac in alarms.iter().filter_map(|alarm| alarm.device.mac) {
            if macs.len() < SHARED {
                macs.insert(mac);
            }
        }
        if before < SHARED && macs.len() >= SHARED {
            let detail = format!("{SHARED} or more devices push from {peer}");
            findings.raise("shared_address", &peer.to_string(), &detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::effective;
    use axum::http::HeaderMap;

    #[track_caller]
    fn check(peer: &str, forwarded: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let peer = peer.parse().unwrap();
        assert_eq!(effective(peer, &headers, &proxies), expected.parse::<std::net::IpAddr>().unwrap());
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_its_last_word() {
        check("192.168.0.9", &["1.2.3.4"], "192.168.0.9");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["6.6.6.6, 192.168.0.7"], "192.168.0.7");
        check("10.0.0.1", &["192.168.0.7", "10.0.0.2"], "192.168.0.7");
        check("10.0.0.1", &["192.168.0.7:4711"], "192.168.0.7");
        check("::1", &["[fd00::5]:80"], "fd00::5");
        check("10.0.0.1", &["::ffff:192.168.0.7"], "192.168.0.7");
        check("10.0.0.1", &["192.168.0.7, unknown"], "10.0.0.1");
    }
}
