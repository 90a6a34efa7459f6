//! Assignment of a report to a source.

use std::net::IpAddr;

use super::slug::slug;
use crate::model::{DeviceKind, Mac, Reported, Source};

/// Device that a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Topic level.
    pub source: Source,
    /// Source of the recorder, for one of its channels.
    pub parent: Option<Source>,
    /// The MAC address of the device itself: never the recorder's for a channel.
    pub mac: Option<Mac>,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// Source it would have without a configured MAC, if different.
    pub before: Option<Source>,
}

/// Determines the device that a report is about. `alias` gives the MAC address configured for a source or a device id.
#[must_use]
pub fn identify(reported: &Reported, peer: IpAddr, alias: impl Fn(&str) -> Option<Mac>) -> Identity {
    let (base, mac, before) = base(reported, peer, &alias);
    match (reported.kind, reported.channel) {
        (DeviceKind::Camera, Some(channel)) if channel > 1 => Identity {
            source: base.channel(channel),
            parent: None,
            mac,
            kind: DeviceKind::Camera,
            before: before.map(|source| source.channel(channel)),
        },
        (DeviceKind::Camera, _) => {
            Identity { source: base, parent: None, mac, kind: DeviceKind::Camera, before }
        }
        (_, None) => Identity { source: base, parent: None, mac, kind: DeviceKind::Recorder, before },
        (_, Some(channel)) => of_channel(&base, channel, before.as_ref(), alias),
    }
}

/// Source of a recorder's channel: `<recorder>-<n>`, or the MAC configured for that.
fn of_channel(
    base: &Source,
    channel: u32,
    before: Option<&Source>,
    alias: impl Fn(&str) -> Option<Mac>,
) -> Identity {
    let plain = base.channel(channel);
    let mac = alias(plain.as_str());
    let source = mac.map_or_else(|| plain.clone(), Source::of_mac);
    let before = if mac.is_some() { Some(plain) } else { before.map(|source| source.channel(channel)) };
    Identity { source, parent: Some(base.clone()), mac, kind: DeviceKind::Channel, before }
}

/// The source of the device that sent the report: MAC, else identifier, else address.
fn base(
    reported: &Reported,
    peer: IpAddr,
    alias: &impl Fn(&str) -> Option<Mac>,
) -> (Source, Option<Mac>, Option<Source>) {
    if let Some(mac) = reported.mac {
        return (Source::of_mac(mac), Some(mac), None);
    }
    let id = reported.device_id.as_deref().filter(|id| slug(id).is_some());
    let ip = reported.ip.clone().unwrap_or_else(|| peer.to_canonical().to_string());
    let plain = id.and_then(Source::of_id).unwrap_or_else(|| Source::of_ip(&ip));
    let mac = alias(id.unwrap_or(&ip)).or_else(|| alias(plain.as_str()));
    match mac {
        Some(mac) => (Source::of_mac(mac), Some(mac), Some(plain)),
        None => (plain, None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(mac: Option<&str>, id: Option<&str>, kind: DeviceKind, channel: Option<u32>) -> Reported {
        Reported {
            mac: mac.map(|mac| mac.parse().unwrap()),
            device_id: id.map(Into::into),
            name: None,
            ip: None,
            vendor: "vigi".into(),
            kind,
            channel,
            channel_name: None,
            model: None,
        }
    }

    #[track_caller]
    fn check(reported: &Reported, expected: &str, parent: Option<&str>) {
        let found = identify(reported, [192, 168, 0, 9].into(), |key| {
            (key == "ALIAS" || key == "nvr-3").then(|| "02aa00000001".parse().unwrap())
        });
        assert_eq!((found.source.as_str(), found.parent.as_ref().map(Source::as_str)), (expected, parent));
    }

    #[test]
    fn sources_follow_mac_then_id_then_address() {
        let mac = Some("98-ba-5f-8b-10-03");
        check(&reported(mac, None, DeviceKind::Camera, Some(1)), "98ba5f8b1003", None);
        check(&reported(mac, None, DeviceKind::Camera, Some(3)), "98ba5f8b1003-3", None);
        check(&reported(None, None, DeviceKind::Camera, None), "ip-192-168-0-9", None);
        check(&reported(None, Some("8021AB"), DeviceKind::Recorder, None), "8021ab", None);
        check(&reported(None, Some("8021AB"), DeviceKind::Recorder, Some(1)), "8021ab-1", Some("8021ab"));
        check(
            &reported(None, Some("ALIAS"), DeviceKind::Recorder, Some(2)),
            "02aa00000001-2",
            Some("02aa00000001"),
        );
        check(&reported(None, Some("nvr"), DeviceKind::Recorder, Some(3)), "02aa00000001", Some("nvr"));
    }
}
