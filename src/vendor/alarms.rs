//! The alarms of one report, within the bound on their number.

use serde_json::Map;

use super::names::Named;
use crate::model::{Alarm, DeviceKind, EventName, Reported};

/// The bound where none is given.
const DEFAULT_MOST: usize = 256;

/// The alarms of one report as they are found.
#[derive(Debug)]
pub struct Alarms {
    list: Vec<Alarm>,
    most: usize,
    dropped: u64,
    entries: usize,
    device: Option<Reported>,
}

impl Alarms {
    /// An empty list that takes this many alarms (0: the default of 256); further ones are counted.
    #[must_use]
    pub fn bounded(most: usize) -> Self {
        let most = if most == 0 { DEFAULT_MOST } else { most };
        Self { list: Vec::new(), most, dropped: 0, entries: 0, device: None }
    }

    /// Begins an entry; returns its number in the report, from 0.
    pub(super) fn entry(&mut self) -> usize {
        self.entries += 1;
        self.entries - 1
    }

    /// Adds an alarm for each kind; the rest of them is made by `template`, unless there is no room for any.
    pub(super) fn add(&mut self, names: Vec<Named>, template: impl FnOnce() -> Alarm) {
        let room = self.most.saturating_sub(self.list.len());
        self.dropped += names.len().saturating_sub(room) as u64;
        if room == 0 || names.is_empty() {
            return;
        }
        let template = template();
        self.device.get_or_insert_with(|| template.device.clone());
        // The last one takes the template itself: most entries name one kind.
        let templates = std::iter::repeat_n(template, names.len().min(room));
        self.list.extend(names.into_iter().zip(templates).map(|(named, template)| Alarm {
            event: named.event,
            event_raw: named.raw,
            ..template
        }));
    }

    /// How many found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The alarms in their order, but `motion` first (a person then comes after the motion that it made), and one
    /// more that counts those that found no room.
    pub(super) fn finish(mut self) -> Vec<Alarm> {
        self.list.sort_by_key(|alarm| alarm.event.as_str() != "motion");
        if self.dropped > 0 {
            let device = self.device.unwrap_or_else(|| nobody("generic"));
            let extra = Map::from_iter([("dropped".to_owned(), self.dropped.into())]);
            self.list.push(Alarm { extra, truncated: true, ..blank(device) });
        }
        self.list
    }
}

/// An alarm of kind `unknown` with nothing in it.
pub(super) fn blank(device: Reported) -> Alarm {
    Alarm {
        event: EventName::new("unknown"),
        event_raw: String::new(),
        device,
        time_raw: None,
        count: None,
        regions: Vec::new(),
        boxes: Vec::new(),
        picture: None,
        extra: Map::new(),
        truncated: false,
    }
}

/// A camera of which the report says nothing.
pub(super) fn nobody(vendor: &'static str) -> Reported {
    Reported {
        mac: None,
        device_id: None,
        name: None,
        ip: None,
        vendor,
        kind: DeviceKind::Camera,
        channel: None,
        channel_name: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Alarms, blank, nobody};
    use crate::vendor::names;

    #[test]
    fn order_and_bound() {
        let mut alarms = Alarms::bounded(3);
        for list in [json!(["FACE", "MOTION"]), json!(["PET", "FACE"]), json!(["MOTION"])] {
            alarms.entry();
            alarms.add(names::all(Some(&list)), || blank(nobody("vigi")));
        }
        let list = alarms.finish();
        let events: Vec<_> = list.iter().map(|alarm| alarm.event.as_str()).collect();
        assert_eq!(events, ["motion", "face", "pet", "unknown"]);
        assert_eq!((&list[3].extra["dropped"], list[3].device.vendor), (&json!(2), "vigi"));
    }
}
