//! Devices: their rows, their announcements, and their removal.

use jiff::Timestamp;

use super::Ledger;
use crate::activity::ActivityKey;
use crate::config::DeviceSettings;
use crate::model::Source;
use crate::model::record::DeviceRecord;
use crate::model::status::DeviceStatus;
use crate::model::value::What;
use crate::outbox::effects::Effects;
use crate::outbox::state::device::Device;
use crate::outbox::state::shown::fingerprint;
use crate::outbox::state::value::{ValueContent, ValueKey};
use crate::outbox::store::REMOVED_SEQ;

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
            effects.state.counters.remove(&device.no);
            effects.state.devices.insert(device.no, Some(device.clone()));
        }
    }

    /// Writes the counters of a device; the rest of its row stays as it is.
    pub(crate) fn keep_counters(&self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source) else { return };
        if effects.state.devices.contains_key(&device.no) {
            self.keep_device(source, effects);
            return;
        }
        effects.state.counters.insert(device.no, device.into());
    }

    /// Announces a device, and writes its row.
    pub(crate) fn announce(&mut self, source: &Source, effects: &mut Effects) {
        let Some(device) = self.devices.get(source).filter(|device| !device.hidden) else { return };
        let text = serde_json::to_string(&self.card(device)).unwrap_or_default();
        let Some(device) = self.devices.get_mut(source) else { return };
        device.announced = fingerprint(&text);
        let key = ValueKey { source_no: device.no, what: What::Discovery, event: None };
        self.value(key, source, ValueContent::Text(text), effects);
        self.keep_device(source, effects);
        self.device_value(source, effects);
    }

    /// Publishes the `device` value again.
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
        )
        .with_mutes(device.mutes.at(crate::host::now()));
        let key = ValueKey { source_no: device.no, what: What::Device, event: None };
        let text = serde_json::to_string(&status).unwrap_or_default();
        self.value(key, source, ValueContent::Text(text), effects);
    }

    /// Writes the whole ledger state, for a new database.
    pub(crate) fn write_whole_state(&mut self, effects: &mut Effects) {
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
                self.value(value, &key.source, ValueContent::Text("ON".into()), effects);
                if let Some(count) = ongoing.count {
                    let value = ValueKey { source_no, what: What::Count, event: Some(key.event.clone()) };
                    self.value(value, &key.source, ValueContent::Text(count.to_string()), effects);
                }
            }
            effects.state.repeats.remove(&key);
            effects.state.activities.insert(key, Some(ongoing));
        }
    }

    /// Number of a source. An unknown one gets a row and is not announced.
    pub(crate) fn known_or_kept(&mut self, source: &Source, at: Timestamp, effects: &mut Effects) -> i64 {
        if let Some(device) = self.devices.get(source) {
            return device.no;
        }
        let device = self.unheard(source, at);
        let no = device.no;
        self.next_device += 1;
        self.devices.insert(source.clone(), device);
        self.keep_device(source, effects);
        no
    }

    /// A source without alarms. Its `seq` is past all that may have been used.
    pub(super) fn unheard(&self, source: &Source, at: Timestamp) -> Device {
        let device = Device::unheard(self.next_device, source.clone(), at);
        Device { seq: device.seq.max(self.seq_floor).max(self.removed_seq), ..device }
    }

    /// Moves the `seq` of all sources, also of later ones, past this number.
    pub(crate) fn raise_seq(&mut self, floor: u64) {
        self.seq_floor = self.seq_floor.max(floor);
        // It is reserved in the witness before anything else is published.
        self.highest_seq = self.highest_seq.max(self.seq_floor);
        for device in self.devices.values_mut() {
            device.seq = device.seq.max(self.seq_floor);
        }
    }

    /// Adds a device of another database, unless it is known here.
    pub(crate) fn adopt(&mut self, device: Device, effects: &mut Effects) {
        if self.devices.contains_key(&device.source) {
            return;
        }
        let source = device.source.clone();
        let seq = device.seq.max(self.seq_floor);
        self.highest_seq = self.highest_seq.max(seq);
        self.devices.insert(source.clone(), Device { no: self.next_device, seq, ..device });
        self.next_device += 1;
        self.keep_device(&source, effects);
        self.announce(&source, effects);
    }

    /// Removes a device with its values, so that every sink empties the topics it retained.
    pub(crate) fn remove(&mut self, source: &Source, effects: &mut Effects) -> bool {
        let Some(device) = self.devices.remove(source) else { return false };
        effects.state.removed.push(self.card(&device));
        // Its numbers were used: the device may reappear as a new one.
        self.removed_seq = self.removed_seq.max(device.seq);
        effects.state.notes.insert(REMOVED_SEQ.into(), self.removed_seq.to_string());
        let gone: Vec<ActivityKey> =
            self.activities.iter().map(|(key, _)| key.clone()).filter(|key| key.source == *source).collect();
        self.activities.forget(source);
        effects.state.repeats.retain(|key, _| key.source != *source);
        effects.state.activities.extend(gone.into_iter().map(|key| (key, None)));
        effects.state.values.retain(|key, _| key.source_no != device.no);
        effects.state.counters.remove(&device.no);
        effects.state.devices.insert(device.no, None);
        self.renewed.remove(&device.no);
        true
    }
}
