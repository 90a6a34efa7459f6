//! The device of an alarm: found, or made within the bounds on sources.

use std::time::Duration;

use super::Ledger;
use crate::activity::Now;
use crate::config::DeviceSettings;
use crate::findings::FindingCode;
use crate::model::device::identity::Identity;
use crate::model::{Alarm, DeviceKind, Source};
use crate::outbox::effects::Effects;
use crate::outbox::state::device::Device;

/// Window of `limits.new_sources_per_hour`.
const HOUR: Duration = Duration::from_secs(3_600);

/// Maximum number of unknown devices with a finding of their own.
const MAX_UNKNOWN_FINDINGS: usize = 32;

/// The admitted device of an alarm.
pub(super) struct Admitted {
    /// Its identity.
    pub(super) identity: Identity,
    /// The source that its alarms go to: its own, or `unlisted`.
    pub(super) source: Source,
    /// Its settings.
    pub(super) settings: Option<DeviceSettings>,
    /// Set if it is announced; `unlisted` is not.
    pub(super) announced: bool,
}

impl Ledger {
    /// Finds or makes the device of an alarm. `None`: the device is switched off.
    pub(super) fn admit(
        &mut self,
        identity: Identity,
        alarm: &Alarm,
        at: Now,
        effects: &mut Effects,
    ) -> Option<Admitted> {
        let settings = self.settings.device(&identity.source, identity.before.as_ref()).cloned();
        if settings.as_ref().and_then(|settings| settings.enabled) == Some(false) {
            return None;
        }
        if let Some(before) = identity.before.clone().filter(|before| self.devices.contains_key(before)) {
            self.remove(&before, effects);
        }
        let known = self.devices.contains_key(&identity.source);
        if !known && self.is_refused(&identity, settings.is_some()) {
            self.report_unknown_device(&identity, alarm);
            return Some(self.unlisted(identity, alarm, at));
        }
        self.admit_parent(&identity, alarm, at, effects);
        if !known && !self.has_room(&identity, at) {
            return Some(self.unlisted(identity, alarm, at));
        }
        if !known {
            self.make(&identity, alarm, at);
        }
        Some(Admitted { source: identity.source.clone(), identity, settings, announced: true })
    }

    /// Returns whether the device is refused by `limits.known_devices_only`: neither it nor its recorder is named in
    /// the configuration or was heard before.
    fn is_refused(&self, identity: &Identity, is_named: bool) -> bool {
        let of_known = |parent: &Source| {
            self.devices.contains_key(parent) || self.settings.device(parent, None).is_some()
        };
        self.settings.limits.known_devices_only
            && !is_named
            && !identity.parent.as_ref().is_some_and(of_known)
    }

    /// Raises a finding for a refused device: one for each, up to a bound, then one for all others.
    fn report_unknown_device(&mut self, identity: &Identity, alarm: &Alarm) {
        let source = &identity.source;
        let separate =
            self.unknown_devices.len() < MAX_UNKNOWN_FINDINGS || self.unknown_devices.contains(source);
        let name = alarm.device.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let detail = format!(
            "{source}{name} is not named under [devices] and was not known before: its alarms go to source `unlisted`"
        );
        self.findings.raise(
            FindingCode::UnknownDevice,
            if separate { source.as_str() } else { "unlisted" },
            &detail,
        );
        if separate {
            self.unknown_devices.insert(source.clone());
        }
    }

    /// Makes the recorder of a channel before the channel.
    fn admit_parent(&mut self, identity: &Identity, alarm: &Alarm, at: Now, effects: &mut Effects) {
        let Some(parent) = identity.parent.clone().filter(|parent| !self.devices.contains_key(parent)) else {
            return;
        };
        let recorder = Identity {
            source: parent,
            parent: None,
            mac: alarm.device.mac,
            kind: DeviceKind::Recorder,
            before: None,
        };
        if self.has_room(&recorder, at) {
            self.make(&recorder, alarm, at);
            self.announce(&recorder.source, effects);
        }
    }

    /// The source that all devices past the bounds share; it is not announced.
    fn unlisted(&mut self, identity: Identity, alarm: &Alarm, at: Now) -> Admitted {
        let source = Source::unlisted();
        if !self.devices.contains_key(&source) {
            let unlisted = Identity {
                source: source.clone(),
                parent: None,
                mac: None,
                kind: DeviceKind::Camera,
                before: None,
            };
            self.make(&unlisted, alarm, at);
        }
        Admitted { identity, source, settings: None, announced: false }
    }

    /// Returns whether the bounds leave room for one more source. Channels of a known recorder do not count.
    fn has_room(&mut self, identity: &Identity, at: Now) -> bool {
        if identity.parent.as_ref().is_some_and(|parent| self.devices.contains_key(parent)) {
            return true;
        }
        while self.newcomers.front().is_some_and(|first| HOUR <= at.mono.saturating_sub(*first)) {
            self.newcomers.pop_front();
        }
        let limits = &self.settings.limits;
        let room = self.devices.len() < limits.sources && self.newcomers.len() < limits.new_sources_per_hour;
        if room {
            self.newcomers.push_back(at.mono);
        } else {
            let detail = format!(
                "{} sources are known, {} of them new in this hour",
                self.devices.len(),
                self.newcomers.len()
            );
            self.findings.raise(FindingCode::SourcesFull, "unlisted", &detail);
        }
        room
    }

    /// Makes a device. Its `seq` starts at the Unix time, so that it rises even if the device was deleted before.
    fn make(&mut self, identity: &Identity, alarm: &Alarm, at: Now) {
        let device = Device {
            parent: identity.parent.clone(),
            mac: identity.mac,
            vendor: alarm.device.vendor.clone().into_owned(),
            kind: identity.kind,
            channel: if identity.kind == DeviceKind::Recorder {
                None
            } else {
                alarm.device.channel.or(Some(1))
            },
            reported_name: alarm.device.name.clone(),
            channel_name: alarm.device.channel_name.clone(),
            hidden: false,
            ..self.unheard(&identity.source, at.wall)
        };
        if self.unknown_devices.remove(&identity.source) {
            self.findings.settle(FindingCode::UnknownDevice, identity.source.as_str());
        }
        self.next_device += 1;
        self.devices.insert(identity.source.clone(), device);
    }
}
