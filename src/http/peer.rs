//! Sender of a request: the peer's address, or the one that a trusted proxy forwards for.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::findings::{FindingCode, Findings};
use crate::model::{Alarm, Mac, Reported};

/// Number of MAC addresses from which on a peer address counts as shared.
const SHARED: usize = 3;
/// Number of names from which on reports without an identity count as those of several devices.
const NAMELESS: usize = 2;
/// Maximum number of peer addresses observed at once.
const WATCHED: usize = 4_096;

/// The address a request comes from: the rightmost one in `X-Forwarded-For` that is not a trusted proxy, if the peer
/// is one; else the peer's own. An entry that is not an address ends the search: it proves nothing.
pub(crate) fn effective(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
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

/// Parses an address with or without brackets and port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(IpAddr::to_canonical(&ip))
}

/// Detects addresses that several devices push from: a recorder, a proxy or NAT. It is never used as identity.
#[derive(Debug, Default)]
pub(super) struct SharedAddresses {
    seen: Mutex<HashMap<IpAddr, Senders>>,
}

/// Devices that push from one address.
#[derive(Debug, Default)]
struct Senders {
    macs: BTreeSet<Mac>,
    /// Maker and name of the devices that send neither MAC address nor identifier.
    nameless: BTreeSet<(Cow<'static, str>, String)>,
}

impl SharedAddresses {
    /// Records the devices of a report.
    pub(super) fn note(&self, peer: IpAddr, alarms: &[Alarm], findings: &Findings) {
        let mut seen = self.seen.lock();
        if seen.len() >= WATCHED && !seen.contains_key(&peer) {
            return;
        }
        let senders = seen.entry(peer).or_default();
        senders.note_nameless(peer, alarms, findings);
        let macs = &mut senders.macs;
        let before = macs.len();
        for mac in alarms.iter().filter_map(|alarm| alarm.device.mac) {
            if macs.len() < SHARED {
                macs.insert(mac);
            }
        }
        if before < SHARED && macs.len() >= SHARED {
            let detail = format!("{SHARED} or more devices push from {peer}");
            findings.raise(FindingCode::SharedAddress, &peer.to_string(), &detail);
        }
    }
}

impl Senders {
    /// Records devices without an identity: several of one address cannot be distinguished.
    fn note_nameless(&mut self, peer: IpAddr, alarms: &[Alarm], findings: &Findings) {
        let nameless =
            |device: &&Reported| device.mac.is_none() && device.device_id.is_none() && device.ip.is_none();
        let before = self.nameless.len();
        for device in alarms.iter().map(|alarm| &alarm.device).filter(nameless) {
            if self.nameless.len() < NAMELESS {
                self.nameless.insert((device.vendor.clone(), device.name.clone().unwrap_or_default()));
            }
        }
        let several =
            self.nameless.len() >= NAMELESS || !self.nameless.is_empty() && self.macs.len() >= NAMELESS;
        if several && before < self.nameless.len() {
            let who: Vec<String> =
                self.nameless.iter().map(|(vendor, name)| format!("{vendor} {name:?}")).collect();
            let detail = format!(
                "reports from {peer} say neither MAC address nor identifier and are of several devices ({}): give each camera a path of its own with `alarmbus webhook add NAME --device NAME`",
                who.join(", ")
            );
            findings.raise(FindingCode::NamelessDevices, &peer.to_string(), &detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SharedAddresses, effective};
    use crate::decode::maker::alarms::{blank_alarm, unknown_camera};
    use crate::findings::{FindingCode, Findings};

    #[test]
    fn several_devices_without_identity_are_told_apart_by_paths_only() {
        let (shared, findings) = (SharedAddresses::default(), Findings::default());
        let peer = [192, 0, 2, 7].into();
        let note = |name: &str| {
            let mut device = unknown_camera("dahua");
            device.name = Some(name.into());
            shared.note(peer, &[blank_alarm(device)], &findings);
            findings.list().iter().map(|finding| (finding.kind.code, finding.count)).collect::<Vec<_>>()
        };
        assert!(note("yard").is_empty() && note("yard").is_empty());
        assert_eq!(note("gate"), [(FindingCode::NamelessDevices, 1)]);
        assert_eq!(note("gate"), [(FindingCode::NamelessDevices, 1)]);
        assert!(findings.list()[0].detail.contains("alarmbus webhook add NAME"));
    }
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
