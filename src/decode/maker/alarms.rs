//! Alarms of one report, with a limit on their number.

use std::borrow::Cow;

use serde_json::Map;

use super::names::Named;
use crate::model::{Alarm, DeviceKind, EventName, Reported};

/// Limit if none is given.
const DEFAULT_LIMIT: usize = 256;

/// Collector of the alarms of one report.
#[derive(Debug)]
pub struct Alarms {
    list: Vec<Alarm>,
    limit: usize,
    dropped: u64,
    entries: usize,
    device: Option<Reported>,
}

impl Alarms {
    /// An empty collector for this many alarms (0: the default of 256); further ones are counted.
    #[must_use]
    pub fn bounded(limit: usize) -> Self {
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
        Self { list: Vec::new(), limit, dropped: 0, entries: 0, device: None }
    }

    /// Begins an entry; returns its number in the report, from 0.
    pub(crate) fn entry(&mut self) -> usize {
        self.entries += 1;
        self.entries - 1
    }

    /// Adds an alarm for each kind; `template` makes its other fields and is not called when the limit is reached.
    pub(crate) fn add(&mut self, names: Vec<Named>, template: impl FnOnce() -> Alarm) {
        let room = self.limit.saturating_sub(self.list.len());
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

    /// Number of alarms dropped over the limit.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns the alarms in order, with `motion` first (so that a person follows the motion it caused), and one more
    /// that counts the alarms dropped over the limit.
    pub(crate) fn finish(mut self) -> Vec<Alarm> {
        self.list.sort_by_key(|alarm| alarm.event.as_str() != "motion");
        if self.dropped > 0 {
            let device = self.device.unwrap_or_else(|| unknown_camera("generic"));
            let extra = Map::from_iter([("dropped".to_owned(), self.dropped.into())]);
            self.list.push(Alarm { extra, truncated: true, ..blank_alarm(device) });
        }
        self.list
    }
}

/// An alarm of kind `unknown` without data.
pub(crate) fn blank_alarm(device: Reported) -> Alarm {
    Alarm {
        event: EventName::new("unknown"),
        event_raw: String::new(),
        device,
        time_raw: None,
        count: None,
        regions: Vec::new(),
        boxes: Vec::new(),
        picture: None,
        details: Map::new(),
        state: None,
        same: None,
        extra: Map::new(),
        truncated: false,
    }
}

/// A camera about which the report says nothing.
pub(crate) fn unknown_camera(vendor: impl Into<Cow<'static, str>>) -> Reported {
    Reported {
        mac: None,
        device_id: None,
        name: None,
        ip: None,
        vendor: vendor.into(),
        kind: DeviceKind::Camera,
        channel: None,
        channel_name: None,
        model: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Alarms, blank_alarm, unknown_camera};
    use crate::decode::names;

    #[test]
    fn order_and_bound() {
        let mut alarms = Alarms::bounded(3);
        for list in [json!(["FACE", "MOTION"]), json!(["PET", "FACE"]), json!(["MOTION"])] {
            alarms.entry();
            alarms.add(names::all(Some(&list)), || blank_alarm(unknown_camera("vigi")));
        }
        let list = alarms.finish();
        let events: Vec<_> = list.iter().map(|alarm| alarm.event.as_str()).collect();
        assert_eq!(events, ["motion", "face", "pet", "unknown"]);
        assert_eq!((&list[3].extra["dropped"], &*list[3].device.vendor), (&json!(2), "vigi"));
    }
}
