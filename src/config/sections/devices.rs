//! Settings of single devices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::config::keypath::KeyPath;
use crate::config::mistake::Origins;
use crate::model::device::source::is_reserved;
use crate::model::{Mac, Source};

/// Settings by source or device id.
///
/// After loading, every key has the form of a source: a MAC in any spelling becomes its twelve hex digits, also with
/// a channel (`98:ba:5f:8b:10:03-2`), and a device id becomes its slug.
pub type Devices = BTreeMap<String, DeviceSettings>;

/// Settings of one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceSettings {
    /// Name to show.
    pub name: Option<String>,
    /// MAC address for a device that sends none.
    pub mac: Option<Mac>,
    /// Area suggested to Home Assistant.
    pub area: Option<String>,
    /// Time zone.
    pub timezone: Option<String>,
    /// `false`: its alarms are answered, but not stored or published.
    pub enabled: Option<bool>,
    /// Hold in seconds; overrides that of the kind.
    pub hold_seconds: Option<u64>,
    /// Maximum time between alarms in seconds, after which the device is unavailable.
    pub expected_every_seconds: Option<u64>,
    /// Availability check by connecting to a port: `tcp:554`.
    pub probe: Option<String>,
    /// `false`: its pictures are dropped.
    pub snapshots: Option<bool>,
    /// Kinds without entities in Home Assistant.
    pub entities_off: Vec<String>,
}

/// Maximum of durations in seconds: a year.
const MAX_SECONDS: u64 = 31_536_000;

/// Checks every device and normalizes its key to the form of a source.
pub(crate) fn normalize(devices: &mut Devices, mut origins: Origins, check: &mut Check<'_>) -> Origins {
    let section = KeyPath::of(["devices"]);
    for (key, settings) in std::mem::take(devices) {
        let at = section.join(&key);
        settings.check(&at, check);
        let name = match normal(&key) {
            Ok(name) => name,
            Err(problem) => {
                check.mistake(&at, problem);
                continue;
            }
        };
        if devices.insert(name.clone(), settings).is_some() {
            let text =
                format!("the device {name} has settings under another spelling too: put them together");
            check.mistake(&at, text);
        }
        let moved = section.join(&name);
        origins = origins.moved(&at, &moved);
    }
    origins
}

/// Normal form of a device's key.
fn normal(key: &str) -> Result<String, String> {
    let hex = |text: &str| text.parse::<Mac>().map(|mac| mac.hex()).ok();
    let channel = key.rsplit_once('-').filter(|(_, channel)| channel.parse::<u32>().is_ok());
    if let Some(hex) = hex(key) {
        return Ok(hex);
    }
    if let Some((mac, channel)) = channel.and_then(|(mac, channel)| Some((hex(mac)?, channel))) {
        return Ok(format!("{mac}-{channel}"));
    }
    if key.parse::<IpAddr>().is_ok() {
        return Ok(Source::of_ip(key).to_string());
    }
    if is_reserved(key) {
        return Err(format!(
            "{key:?} is a word of the bridge, no device: write its MAC, source or device id"
        ));
    }
    let like_a_mac = key.contains(':') && key.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    if like_a_mac {
        let mac = key.parse::<Mac>().err().map(|error| error.to_string()).unwrap_or_default();
        return Err(mac);
    }
    let source = Source::from_known(key).or_else(|| Source::of_id(key));
    source
        .map(|source| source.to_string())
        .ok_or_else(|| format!("{key:?} names no device: write its MAC, source or device id"))
}

impl DeviceSettings {
    /// Checks the settings of one device.
    fn check(&self, at: &KeyPath, check: &mut Check<'_>) {
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            check.mistake(&at.join("name"), "this is empty: write a name, or remove the key");
        }
        if let Some(zone) = &self.timezone {
            check.zone(&at.join("timezone"), zone);
        }
        let seconds =
            [("hold_seconds", self.hold_seconds), ("expected_every_seconds", self.expected_every_seconds)];
        for (name, seconds) in seconds {
            if let Some(seconds) = seconds {
                check.within(&at.join(name).to_string(), seconds, 1, MAX_SECONDS);
            }
        }
        if let Some(probe) = &self.probe
            && probe_port(probe).is_none()
        {
            let text = format!("{probe:?} is not a probe: write tcp: and a port, such as \"tcp:554\"");
            check.mistake(&at.join("probe"), text);
        }
        for kind in &self.entities_off {
            check.slug(&at.join("entities_off"), kind);
        }
    }
}

/// The port of a probe: `tcp:554`.
#[must_use]
pub fn probe_port(probe: &str) -> Option<u16> {
    probe.strip_prefix("tcp:")?.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::{normal, probe_port};

    #[test]
    fn every_spelling_of_a_device_is_one() {
        for (key, right) in [
            ("98:BA:5F:8B:10:03", "98ba5f8b1003"),
            ("98-ba-5f-8b-10-03", "98ba5f8b1003"),
            ("98-ba-5f-8b-10-03-2", "98ba5f8b1003-2"),
            ("98ba5f8b1003-12", "98ba5f8b1003-12"),
            ("ip-192-168-0-101", "ip-192-168-0-101"),
            ("192.168.0.101", "ip-192-168-0-101"),
            ("fe80::1", "ip-fe80-1"),
            ("DEV 0815", "dev_0815"),
        ] {
            assert_eq!(normal(key).as_deref(), Ok(right));
        }
        for key in ["98:ba:5f:8b:10", "bridge", "bridge-2", "", "/#"] {
            assert!(normal(key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_probe_is_tcp_and_a_port() {
        assert_eq!(probe_port("tcp:554"), Some(554));
        for text in ["tcp:0", "tcp:70000", "554", "udp:554", "tcp: 554"] {
            assert_eq!(probe_port(text), None, "{text}");
        }
    }
}
