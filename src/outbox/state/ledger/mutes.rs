//! Mutes: setting, lifting and expiry.

use jiff::Timestamp;

use super::Ledger;
use crate::model::{EventName, Mute, Source};
use crate::outbox::effects::Effects;

impl Ledger {
    /// Mutes a kind of a device, or all of it. Returns whether there is such a device.
    pub(crate) fn mute(&mut self, source: &Source, mute: Mute, effects: &mut Effects) -> bool {
        let Some(device) = self.devices.get_mut(source) else { return false };
        device.mutes.set(mute);
        self.store_mutes(source, effects);
        true
    }

    /// Lifts the mute of a kind, or all of a device. Returns whether there was one.
    pub(crate) fn unmute(
        &mut self,
        source: &Source,
        event: Option<&EventName>,
        effects: &mut Effects,
    ) -> bool {
        let lifted = self.devices.get_mut(source).is_some_and(|device| device.mutes.lift(event));
        if lifted {
            self.store_mutes(source, effects);
        }
        lifted
    }

    /// Ends mutes whose time is over.
    pub(super) fn expire_mutes(&mut self, now: Timestamp, effects: &mut Effects) {
        if self.next_unmute.is_none_or(|next| now < next) {
            return;
        }
        let devices = self.devices.values_mut();
        let mut ended: Vec<Source> =
            devices.filter_map(|device| device.mutes.expire(now).then(|| device.source.clone())).collect();
        ended.sort();
        for source in &ended {
            self.store_mutes(source, effects);
        }
        self.note_unmute();
    }

    /// Finds the next end of a mute.
    pub(crate) fn note_unmute(&mut self) {
        self.next_unmute = self.devices.values().filter_map(|device| device.mutes.next_end()).min();
    }

    /// Publishes and stores the mutes of a device.
    fn store_mutes(&mut self, source: &Source, effects: &mut Effects) {
        self.note_unmute();
        self.device_value(source, effects);
        self.keep_device(source, effects);
    }
}
