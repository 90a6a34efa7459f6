//! Settings of the writer, from the configuration; replaced as a whole on a reload.

use std::collections::HashMap;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::state::device::Appearance;
use crate::config::{Config, DeviceSettings};
use crate::model::device::slug::slug;
use crate::model::time::clock::ZoneSetting;
use crate::model::{EventName, Mac, Mode, Source};

/// Settings of the writer.
#[derive(Debug, Clone)]
pub struct WriterSettings {
    devices: HashMap<String, DeviceSettings>,
    zones: HashMap<String, ZoneSetting>,
    hold: Duration,
    fault_hold: Duration,
    holds: HashMap<String, Duration>,
    /// The zone of devices that have none of their own.
    pub zone: ZoneSetting,
    /// The bridge's own zone.
    pub bridge_zone: TimeZone,
    /// Maximum offset of a device's clock in a configured zone.
    pub max_skew: SignedDuration,
    /// Settings for pictures.
    pub snapshots: crate::config::Snapshots,
    /// Bounds on what reports can create.
    pub limits: crate::config::Limits,
    /// Set if the cluster decides alarms, and not this instance alone.
    pub clustered: bool,
    /// The folder and its bounds.
    pub storage: crate::config::Storage,
}

impl WriterSettings {
    /// Settings from a validated configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let seconds = Duration::from_secs;
        let devices: HashMap<_, _> =
            config.devices.iter().map(|(key, of)| (device_key(key), of.clone())).collect();
        let zone = |text: &str| ZoneSetting::parse(text).unwrap_or_default();
        Self {
            zones: devices
                .iter()
                .filter_map(|(key, of)| Some((key.clone(), zone(of.timezone.as_deref()?))))
                .collect(),
            devices,
            hold: seconds(config.activity.hold_seconds),
            fault_hold: seconds(config.activity.fault_hold_seconds),
            holds: config.activity.hold.iter().map(|(kind, hold)| (kind.clone(), seconds(*hold))).collect(),
            zone: zone(&config.time.timezone),
            bridge_zone: TimeZone::system(),
            max_skew: SignedDuration::from_secs(
                i64::try_from(config.time.max_clock_skew_seconds).unwrap_or(i64::MAX),
            ),
            snapshots: config.snapshots.clone(),
            limits: config.limits.clone(),
            clustered: config.cluster.is_on(),
            storage: config.storage.clone(),
        }
    }

    /// MAC configured for a source or device id that sends none.
    #[must_use]
    pub fn alias(&self, key: &str) -> Option<Mac> {
        self.devices.get(&device_key(key)).and_then(|device| device.mac)
    }

    /// The configured MACs, in the order of their keys.
    pub fn macs(&self) -> impl Iterator<Item = (&str, Mac)> {
        let mut macs: Vec<_> =
            self.devices.iter().filter_map(|(key, of)| Some((key.as_str(), of.mac?))).collect();
        macs.sort_unstable_by_key(|(key, _)| *key);
        macs.into_iter()
    }

    /// The settings of a device: by its source, else by the source it had before it got a MAC.
    #[must_use]
    pub fn device(&self, source: &Source, before: Option<&Source>) -> Option<&DeviceSettings> {
        self.key(source, before).and_then(|key| self.devices.get(key))
    }

    /// The zone of a device: its own setting, then the webhook's, then the common one.
    #[must_use]
    pub fn zone_of(
        &self,
        source: &Source,
        before: Option<&Source>,
        webhook: Option<&ZoneSetting>,
    ) -> ZoneSetting {
        let own = self.key(source, before).and_then(|key| self.zones.get(key).cloned());
        own.or_else(|| webhook.cloned()).unwrap_or_else(|| self.zone.clone())
    }

    /// Hold of a kind on a device: the configured one of the device, the one given on the page, that of the kind, or
    /// the common one.
    #[must_use]
    pub fn hold(&self, event: &EventName, device: Option<&DeviceSettings>, given: Option<u64>) -> Duration {
        let of_kind = self.holds.get(event.as_str()).copied();
        match event.mode() {
            Mode::Fault => of_kind.unwrap_or(self.fault_hold),
            Mode::Activity | Mode::Moment => {
                let own = device.and_then(|device| device.hold_seconds).or(given).map(Duration::from_secs);
                own.or(of_kind).unwrap_or(self.hold)
            }
        }
    }

    fn key<'s>(&self, source: &'s Source, before: Option<&'s Source>) -> Option<&'s str> {
        let either = [Some(source), before].into_iter().flatten().map(Source::as_str);
        either.into_iter().find(|key| self.devices.contains_key(*key))
    }
}

/// Appearance of a device, from its settings.
#[must_use]
pub fn shown(settings: Option<&DeviceSettings>) -> Appearance {
    settings.map_or_else(Appearance::default, |of| Appearance {
        name: of.name.clone(),
        area: of.area.clone(),
        entities_off: of.entities_off.clone(),
        availability: of.expected_every_seconds.is_some() || of.probe.is_some(),
    })
}

/// Normalizes MACs, sources and device ids to one spelling.
fn device_key(text: &str) -> String {
    if let Ok(mac) = text.parse::<Mac>() {
        return mac.hex();
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Source::of_ip(text).as_str().to_owned();
    }
    Source::from_known(text)
        .map_or_else(|| slug(text).unwrap_or_default(), |source| source.as_str().to_owned())
}
