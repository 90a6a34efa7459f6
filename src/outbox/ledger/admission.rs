//! Who an alarm is of: the device is found or made, within the bounds on sources.

use std::time::Duration;

use super::Ledger;
use crate::activity::Now;
use crate::config::DeviceSettings;
use crate::model::identity::Identity;
use crate::model::{Alarm, DeviceKind, Source};
use crate::outbox::device::Device;
use crate::outbox::effects::Effects;

/// The window of limits.new_sources_per_hour.
const HOUR: Duration = Duration::from_secs(3_600);

/// Unknown devices that are told apart in findings.
const STRANGERS: usize = 32;

/// Who an alarm is of, made out and admitted.
pub(super) struct Admitted {
    pub(super) identity: Identity,
    pub(super) source: Source,
    pub(super) settings: Option<DeviceSettings>,
    pub(super) announced: bool,
}

impl Ledger {
    /// Finds or makes the device of an alarm; `None` if its alarms are switched off.
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
        if !known && self.is_stranger(&identity, settings.is_some()) {
            self.tell_of_stranger(&identity, alarm);
            return Some(self.unlisted(identity, alarm, at));
        }
        self.admit_parent(&identity, alarm, at, effects);
        if !known && !self.room(&identity, at) {
            return Some(self.unlisted(identity, alarm, at));
        }
        if !known {
            self.make(&identity, alarm, at);
        }
        Some(Admitted { source: identity.source.clone(), identity, settings, announced: true })
    }

    /// Whether only known devices are taken, and this is none: neither it nor its recorder is named in the
    /// configuration or was heard before.
    fn is_stranger(&self, identity: &Identity, is_named: bool) -> bool {
        let of_known = |parent: &Source| {
            self.devices.contains_key(parent) || self.settings.device(parent, None).is_some()
        };
        self.settings.limits.known_devices_only
            && !is_named
            && !identity.parent.as_ref().is_some_and(of_known)
    }

    /// Says who was turned away: each for itself, up to a bound, since strangers are as many as they like.
    fn tell_of_stranger(&mut self, identity: &Identity, alarm: &Alarm) {
        let source = &identity.source;
        let apart = self.strangers.len() < STRANGERS || self.strangers.contains(source);
        let name = alarm.device.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let detail = format!(
            "{source}{name} is not named under [devices] and was not known before: its alarms go to source `unlisted`"
        );
        self.findings.raise("unknown_device", if apart { source.as_str() } else { "unlisted" }, &detail);
        if apart {
            self.strangers.insert(source.clone());
        }
    }

    /// The recorder of a channel is known before the channel.
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
        if self.room(&recorder, at) {
            self.make(&recorder, alarm, at);
            self.announce(&recorder.source, effects);
        }
    }

    /// Past the bounds all newcomers share one source, which is not announced.
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

    /// Whether the bounds leave room for one more source. Channels of a known recorder do not count.
    fn room(&mut self, identity: &Identity, at: Now) -> bool {
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
            self.findings.raise("sources_full", "unlisted", &detail);
        }
        room
    }

    /// Makes a device. Its numbers start at the time of day, so that they never run backward.
    fn make(&mut self, identity: &Identity, alarm: &Alarm, at: Now) {
        let device = Device {
            parent: identity.parent.clone(),
            mac: identity.mac,
            vendor: alarm.device.vendor.to_owned(),
            kind: identity.kind,
            channel: if identity.kind == DeviceKind::Recorder {
                None
            } else {
                alarm.device.channel.or(Some(1))
            },
            reported_name: alarm.device.name.clone(),
            channel_name: alarm.device.channel_name.clone(),
            hidden: false,
            ..Device::unheard(self.next_device, identity.source.clone(), at.wall)
        };
        if self.strangers.remove(&identity.source) {
            self.findings.settle("unknown_device", identity.source.as_str());
        }
        self.next_device += 1;
        self.devices.insert(identity.source.clone(), device);
    }
}
