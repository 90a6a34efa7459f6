//! Announcements of devices, and when they are published again.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::device::Device;
use super::ledger::Ledger;
use super::value::ValueKey;
use crate::model::Source;
use crate::model::value::{Card, What};
use crate::outbox::Outbox;
use crate::outbox::effects::Effects;
use crate::outbox::settings::shown;

impl Outbox {
    /// Announcement of a device that was removed recently, so that all its entities can be removed.
    #[must_use]
    pub fn removed(&self, source: &Source) -> Option<Card> {
        self.shared.recent().removed(source)
    }
}

impl Ledger {
    /// The announcement of a device.
    pub(crate) fn card(&self, device: &Device) -> Card {
        let settings = self.settings.device(&device.source, None);
        let mut card = device.card(self.name_of(device, settings), &shown(settings));
        // Addresses change often, and their entity reads the `device` value.
        card.device.ip = None;
        card
    }

    /// Announces the devices whose announcement a change of settings affects, recorders before their channels. A
    /// device that is switched off is hidden.
    pub(crate) fn update_announcements(&mut self, effects: &mut Effects) {
        let mut sources: Vec<(i64, Source)> =
            self.devices.values().map(|device| (device.no, device.source.clone())).collect();
        sources.sort();
        for (_, source) in sources {
            self.update_announcement(&source, effects);
        }
    }

    fn update_announcement(&mut self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source).filter(|device| !device.hidden) else { return };
        let settings = self.settings.device(source, None);
        if settings.and_then(|of| of.enabled) == Some(false) {
            self.hide(source, effects);
            return;
        }
        let card = self.card(device);
        let unwatched = !card.availability && device.available.is_some();
        if !unwatched && device.announced == fingerprint(&serde_json::to_string(&card).unwrap_or_default()) {
            return;
        }
        if unwatched && let Some(device) = self.devices.get_mut(source) {
            device.available = None;
        }
        self.announce(source, effects);
    }

    /// Announces a device whose name changed, and the channels that may be named after it.
    pub(crate) fn announce_renamed(&mut self, source: &Source, effects: &mut Effects) {
        self.announce(source, effects);
        let channels = self.devices.values().filter(|device| device.parent.as_ref() == Some(source));
        let channels: Vec<Source> = channels.map(|device| device.source.clone()).collect();
        for channel in channels {
            self.announce(&channel, effects);
        }
    }

    /// Removes a device from Home Assistant until its next alarm.
    pub(crate) fn hide(&mut self, source: &Source, effects: &mut Effects) -> bool {
        let Some(device) = self.devices.get_mut(source) else { return false };
        device.hidden = true;
        effects
            .state
            .values
            .insert(ValueKey { source_no: device.no, what: What::Discovery, event: None }, None);
        self.keep_device(source, effects);
        true
    }
}

/// Hash of an announcement, to detect a change.
pub(crate) fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
