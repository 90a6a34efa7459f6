//! Configuration in force, with the origin of each value; a reload replaces it.

use std::fmt::Display;
use std::sync::Arc;

use arc_swap::ArcSwap;
use figment::value::Value;

use crate::config::{self, Config, DeviceSettings, KeyPath, Loaded, Origin, Origins};
use crate::outbox::device::Device;
use crate::web::Setting;

/// Origin of a value that was set on the device's page or by a command.
const GIVEN: &str = "set on this page";

/// Configuration in force; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct InForce(Arc<ArcSwap<(Config, Origins)>>);

/// One device and the configuration it is read from.
struct Of<'a> {
    config: &'a Config,
    origins: &'a Origins,
    device: &'a Device,
}

impl InForce {
    /// Creates it from the configuration loaded at the start.
    pub(super) fn new(loaded: &Loaded) -> Self {
        Self(Arc::new(ArcSwap::from_pointee((loaded.config.clone(), loaded.origins.clone()))))
    }

    /// Replaces it by what a reload read.
    pub(super) fn replace(&self, config: Config, origins: Origins) {
        self.0.store(Arc::new((config, origins)));
    }

    /// All settings in force, secrets masked.
    pub(super) fn all(&self) -> Vec<Setting> {
        let loaded = self.0.load();
        let (config, origins) = &**loaded;
        let tree = Value::serialize(config).unwrap_or_else(|_| Value::from(false));
        let of = |(path, value): (KeyPath, Value)| {
            let value = config::spelled(&value)?;
            Some(setting(&path.to_string(), value, place(origins.of(&path))))
        };
        config::leaves(&tree).into_iter().filter_map(of).collect()
    }

    /// Settings in force for a device.
    pub(super) fn of(&self, device: &Device) -> Vec<Setting> {
        let loaded = self.0.load();
        let (config, origins) = &**loaded;
        let own = config.devices.get(device.source.as_str()).cloned().unwrap_or_default();
        let of = Of { config, origins, device };
        of.identity(&own).into_iter().chain(of.behaviour(&own)).collect()
    }
}

impl Of<'_> {
    /// Settings that name the device.
    fn identity(&self, own: &DeviceSettings) -> Vec<Setting> {
        let device = self.device;
        let reported = device.channel_name.clone().or_else(|| device.reported_name.clone());
        let name = self.own("name", own.name.as_ref()).or_else(|| given("name", device.renamed.as_ref()));
        let name = name.or_else(|| reported.map(|name| setting("name", name, "reported by the device")));
        let area = self.own("area", own.area.as_ref()).or_else(|| given("area", device.area.as_ref()));
        let mut all = vec![
            name.unwrap_or_else(|| setting("name", device.name(None, None), "made from the source")),
            area.unwrap_or_else(|| unset("area")),
        ];
        all.extend(self.own("mac", own.mac.as_ref()));
        all
    }

    /// Settings that control the handling of its alarms.
    fn behaviour(&self, own: &DeviceSettings) -> Vec<Setting> {
        let config = self.config;
        let hold = self.own("hold_seconds", own.hold_seconds.as_ref());
        let hold = hold.or_else(|| given("hold_seconds", self.device.hold_seconds.as_ref()));
        let mut all = vec![
            self.own("timezone", own.timezone.as_ref())
                .unwrap_or_else(|| self.common("timezone", "time.timezone", &config.time.timezone)),
            hold.unwrap_or_else(|| {
                self.common("hold_seconds", "activity.hold_seconds", &config.activity.hold_seconds)
            }),
        ];
        for seen in &self.device.kinds {
            let kind = seen.event.as_str();
            let key = format!("activity.hold.{kind}");
            let hold = config.activity.hold.get(kind);
            all.extend(hold.map(|hold| self.common(&format!("hold_seconds of {kind}"), &key, hold)));
        }
        all.extend([
            self.own("enabled", own.enabled.as_ref()).unwrap_or_else(|| setting("enabled", true, "default")),
            self.own("snapshots", own.snapshots.as_ref())
                .unwrap_or_else(|| self.common("snapshots", "snapshots.enabled", &config.snapshots.enabled)),
            self.own("expected_every_seconds", own.expected_every_seconds.as_ref())
                .unwrap_or_else(|| unset("expected_every_seconds")),
            self.own("probe", own.probe.as_ref()).unwrap_or_else(|| unset("probe")),
        ]);
        let off = Some(own.entities_off.join(", ")).filter(|off| !off.is_empty());
        all.extend(self.own("entities_off", off.as_ref()));
        all
    }

    /// A setting from the device's own section.
    fn own(&self, key: &str, value: Option<&impl Display>) -> Option<Setting> {
        let path = KeyPath::of(["devices", self.device.source.as_str(), key]);
        value.map(|value| setting(key, value, place(self.origins.of(&path))))
    }

    /// A setting that applies to all devices.
    fn common(&self, key: &str, path: &str, value: &impl Display) -> Setting {
        let origin = self.origins.of(&KeyPath::parse(path));
        setting(key, value, format!("{path}, {}", place(origin)))
    }
}

/// Describes the place where a value was set.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".into(),
        Origin::File { path, line } => format!("line {line} of {}", path.display()),
        Origin::Variable(name) => format!("environment variable {name}"),
        Origin::Flag(name) => format!("flag {name}"),
    }
}

fn given(key: &str, value: Option<&impl Display>) -> Option<Setting> {
    value.map(|value| setting(key, value, GIVEN))
}

fn unset(key: &str) -> Setting {
    setting(key, "", "default")
}

fn setting(key: &str, value: impl Display, origin: impl Into<String>) -> Setting {
    Setting { key: key.into(), value: value.to_string(), origin: origin.into() }
}
