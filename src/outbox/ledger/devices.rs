//! Devices as they are kept, announced, and forgotten.

use jiff::Timestamp;

use super::Ledger;
use crate::activity::Key;
use crate::config::DeviceSettings;
use crate::model::Source;
use crate::model::record::DeviceRecord;
use crate::model::status::DeviceStatus;
use crate::model::value::What;
use crate::outbox::device::Device;
use crate::outbox::effects::{Effects, Held, ValueKey};
use crate::outbox::shown::fingerprint;

impl Ledger {
    /// The name to show.
    pub(crate) fn name_of(&self, device: &Device, settings: Option<&DeviceSettings>) -> String {
        let parent = device.parent.as_ref().and_then(|parent| self.devices.get(parent)).map(|parent| {
            let settings = self.settings.device(&parent.source, None);
            parent.name(settings.and_then(|of| of.name.as_deref()), None)
        });
        device.name(settings.and_then(|of| of.name.as_deref()), parent.as_deref())
    }

    /// A device as records carry it, and its number.
    pub(crate) fn device_record(&self, source: &Source) -> Option<(DeviceRecord, i64)> {
        let device = self.devices.get(source)?;
        let settings = self.settings.device(source, None);
        Some((device.record(self.name_of(device, settings)), device.no))
    }

    /// Writes a device's row.
    pub(crate) fn keep_device(&self, source: &Source, effects: &mut Effects) {
        if let Some(device) = self.devices.get(source) {
            effects.heard.remove(&device.no);
            effects.devices.insert(device.no, Some(device.clone()));
        }
    }

    /// Writes the numbers of a device that change with every alarm; the rest of its row stands.
    pub(crate) fn keep_heard(&self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source) else { return };
        if effects.devices.contains_key(&device.no) {
            self.keep_device(source, effects);
            return;
        }
        effects.heard.insert(device.no, device.into());
    }

    /// Announces a device, and its row.
    pub(crate) fn announce(&mut self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source).filter(|device| !device.hidden) else { return };
        let text = serde_json::to_string(&self.card(device)).unwrap_or_default();
        let Some(device) = self.devices.get_mut(source) else { return };
        device.announced = fingerprint(&text);
        let key = ValueKey { source_no: device.no, what: What::Discovery, event: None };
        self.value(key, source, Held::Text(text), effects);
        self.keep_device(source, effects);
        self.device_value(source, effects);
    }

    /// Renews the `device` value.
    pub(crate) fn device_value(&mut self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source) else { return };
        let settings = self.settings.device(source, None);
        let status = DeviceStatus::new(
            &device.record(self.name_of(device, settings)),
            source,
            device.first_heard,
            Timestamp::from_millisecond(device.last_heard_ms).unwrap_or(device.first_heard),
            device.clock_offset_ms,
            device.available.as_ref(),
        );
        let key = ValueKey { source_no: device.no, what: What::Device, event: None };
        let text = serde_json::to_string(&status).unwrap_or_default();
        self.value(key, source, Held::Text(text), effects);
    }

    /// Everything the books know, for a database begun anew.
    pub(crate) fn restate(&mut self, effects: &mut Effects) {
        let sources: Vec<Source> = self.devices.keys().cloned().collect();
        for source in &sources {
            self.announce(source, effects);
            self.keep_device(source, effects);
        }
        let ongoing: Vec<_> =
            self.activities.iter().map(|(key, ongoing)| (key.clone(), ongoing.clone())).collect();
        for (key, ongoing) in ongoing {
            if let Some(source_no) = self.devices.get(&key.source).map(|device| device.no) {
                let value = ValueKey { source_no, what: What::State, event: Some(key.event.clone()) };
                self.value(value, &key.source, Held::Text("ON".into()), effects);
                if let Some(count) = ongoing.count {
                    let value = ValueKey { source_no, what: What::Count, event: Some(key.event.clone()) };
                    self.value(value, &key.source, Held::Text(count.to_string()), effects);
                }
            }
            effects.repeats.remove(&key);
            effects.activities.insert(key, Some(ongoing));
        }
    }

    /// The number of a source; one that is not known gets a row that is not announced.
    pub(crate) fn known_or_kept(&mut self, source: &Source, at: Timestamp, effects: &mut Effects) -> i64 {
        if let Some(device) = self.devices.get(source) {
            return device.no;
        }
        let device = Device::unheard(self.next_device, source.clone(), at);
        let no = device.no;
        self.next_device += 1;
        self.devices.insert(source.clone(), device);
        self.keep_device(source, effects);
        no
    }

    /// Takes a device over from another database, unless it is known here.
    pub(crate) fn adopt(&mut self, device: Device, effects: &mut Effects) {
        if self.devices.contains_key(&device.source) {
            return;
        }
        let source = device.source.clone();
        self.devices.insert(source.clone(), Device { no: self.next_device, ..device });
        self.next_device += 1;
        self.keep_device(&source, effects);
        self.announce(&source, effects);
    }

    /// Forgets a device: its values go, so that every sink empties what it had retained of it.
    pub(crate) fn remove(&mut self, source: &Source, effects: &mut Effects) -> bool {
        let Some(device) = self.devices.remove(source) else { return false };
        effects.removed.push(self.card(&device));
        let gone: Vec<Key> =
            self.activities.iter().map(|(key, _)| key.clone()).filter(|key| key.source == *source).collect();
        self.activities.forget(source);
        effects.repeats.retain(|key, _| key.source != *source);
        effects.activities.extend(gone.into_iter().map(|key| (key, None)));
        effects.values.retain(|key, _| key.source_no != device.no);
        effects.heard.remove(&device.no);
        effects.devices.insert(device.no, None);
        self.renewed.remove(&device.no);
        true
    }
}
