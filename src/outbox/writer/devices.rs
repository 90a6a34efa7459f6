//! Changes to devices by pages, commands, sinks, and a reload of the configuration.

use std::sync::Arc;

use crate::activity::{ActivityKey, Now};
use crate::model::value::What;
use crate::model::{EventName, Source};
use crate::outbox::command::DeviceChange;
use crate::outbox::effects::Effects;
use crate::outbox::settings::WriterSettings;
use crate::outbox::state::ledger::Ledger;
use crate::outbox::state::value::{ValueContent, ValueKey};

impl Ledger {
    /// Applies a change to a device. Returns whether there was something to change.
    pub(crate) fn device_change(&mut self, change: DeviceChange, now: Now, effects: &mut Effects) -> bool {
        match change {
            DeviceChange::Rename(source, name) => {
                let Some(device) = self.devices.get_mut(&source) else { return false };
                device.renamed = Some(name).filter(|name| !name.is_empty());
                self.announce_renamed(&source, effects);
                true
            }
            DeviceChange::Area(source, area) => {
                let Some(device) = self.devices.get_mut(&source) else { return false };
                device.area = Some(area).filter(|area| !area.is_empty());
                self.keep_device(&source, effects);
                self.announce_renamed(&source, effects);
                true
            }
            DeviceChange::Hold(source, hold) => {
                let Some(device) = self.devices.get_mut(&source) else { return false };
                device.hold_seconds = hold;
                self.keep_device(&source, effects);
                true
            }
            DeviceChange::Mute(source, mute) => self.mute(&source, mute, effects),
            DeviceChange::Unmute(source, event) => self.unmute(&source, event.as_ref(), effects),
            DeviceChange::Clear(source, event) => self.clear_by_hand(&source, event.as_ref(), now, effects),
            DeviceChange::Remove(source) => self.remove(&source, effects),
            DeviceChange::Hide(source) => self.hide(&source, effects),
            DeviceChange::Available(source, available, reason) => {
                let Some(device) = self.devices.get_mut(&source) else { return false };
                let news = Some((available, reason));
                if device.available == news {
                    return true;
                }
                device.available = news;
                self.device_value(&source, effects);
                self.keep_device(&source, effects);
                true
            }
            DeviceChange::FoundOn(source, event) => self.found_on(&source, &event, now, effects),
        }
    }

    /// Ends activities by hand: one kind of a source, or all.
    fn clear_by_hand(
        &mut self,
        source: &Source,
        event: Option<&EventName>,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let wanted =
            |key: &&ActivityKey| key.source == *source && event.is_none_or(|event| *event == key.event);
        let mut keys: Vec<ActivityKey> =
            self.activities.iter().map(|(key, _)| key).filter(wanted).cloned().collect();
        keys.sort();
        let ended: Vec<_> = keys.iter().filter_map(|key| self.activities.clear(key, now)).collect();
        for ended in &ended {
            self.end(ended, now, self.run, effects);
        }
        !ended.is_empty()
    }

    /// Sets a state to OFF that a broker retains as ON, unless an activity of it is in progress.
    pub(crate) fn found_on(
        &mut self,
        source: &Source,
        event: &EventName,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let key = ActivityKey { source: source.clone(), event: event.clone() };
        if self.activities.get(&key).is_some() {
            return false;
        }
        let source_no = self.known_or_kept(source, now.wall, effects);
        let key = ValueKey { source_no, what: What::State, event: Some(event.clone()) };
        self.value(key, source, ValueContent::Text("OFF".into()), effects);
        true
    }

    /// Replaces the settings, and announces the devices that they affect.
    pub(crate) fn configure(&mut self, settings: &Arc<WriterSettings>, effects: &mut Effects) {
        self.settings = Arc::clone(settings);
        self.update_announcements(effects);
    }
}
