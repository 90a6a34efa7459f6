//! Changes to devices that are asked for: by pages and commands, by sinks, by a reload.

use std::sync::Arc;

use super::Writer;
use crate::activity::{Key, Now};
use crate::model::value::What;
use crate::model::{EventName, Source};
use crate::outbox::command::DeviceChange;
use crate::outbox::effects::{Effects, Held, ValueKey};
use crate::outbox::settings::Settings;

impl Writer {
    /// Changes something about devices; says whether there was something to change.
    pub(super) fn device(&mut self, change: DeviceChange, now: Now, effects: &mut Effects) -> bool {
        match change {
            DeviceChange::Rename(source, name) => {
                let Some(device) = self.ledger.devices.get_mut(&source) else { return false };
                device.renamed = Some(name).filter(|name| !name.is_empty());
                self.ledger.announce_renamed(&source, effects);
                true
            }
            DeviceChange::Clear(source, event) => self.clear(&source, event.as_ref(), now, effects),
            DeviceChange::Remove(source) => self.ledger.remove(&source, effects),
            DeviceChange::Hide(source) => self.ledger.hide(&source, effects),
            DeviceChange::Available(source, available, reason) => {
                let Some(device) = self.ledger.devices.get_mut(&source) else { return false };
                let news = Some((available, reason));
                if device.available == news {
                    return true;
                }
                device.available = news;
                self.ledger.device_value(&source, effects);
                self.ledger.keep_device(&source, effects);
                true
            }
            DeviceChange::FoundOn(source, event) => self.found_on(&source, &event, now, effects),
        }
    }

    /// Ends activities by hand: one kind of a source, or all.
    fn clear(&mut self, source: &Source, event: Option<&EventName>, now: Now, effects: &mut Effects) -> bool {
        let wanted = |key: &&Key| key.source == *source && event.is_none_or(|event| *event == key.event);
        let keys: Vec<Key> =
            self.ledger.activities.iter().map(|(key, _)| key).filter(wanted).cloned().collect();
        let ended: Vec<_> = keys.iter().filter_map(|key| self.ledger.activities.clear(key, now)).collect();
        for ended in &ended {
            self.ledger.end(ended, now, self.ledger.run, effects);
        }
        !ended.is_empty()
    }

    /// A broker holds ON for something that this database does not know as going on: it is OFF.
    pub(super) fn found_on(
        &mut self,
        source: &Source,
        event: &EventName,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let key = Key { source: source.clone(), event: event.clone() };
        if self.ledger.activities.get(&key).is_some() {
            return false;
        }
        let source_no = self.ledger.known_or_kept(source, now.wall, effects);
        let key = ValueKey { source_no, what: What::State, event: Some(event.clone()) };
        self.ledger.value(key, source, Held::Text("OFF".into()), effects);
        true
    }

    /// Takes new settings over, and announces the devices they change something of.
    pub(super) fn configure(&mut self, settings: &Arc<Settings>, effects: &mut Effects) {
        self.ledger.settings = Arc::clone(settings);
        self.ledger.restyle(effects);
    }
}
