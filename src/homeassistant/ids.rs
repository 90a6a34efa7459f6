//! Identifiers in Home Assistant, in one place because they are frozen.
//!
//! Home Assistant keeps names, areas, history and automations by `unique_id`. One that changes is a new entity and
//! an orphan, for every user. So: **nothing in this file may ever change what it returns**, and a golden test
//! holds it. New fixed components may be added; their keys contain a `-`, which no kind has. A key is never used
//! again for another platform.

use crate::model::{EventName, Source};

/// The event entity of all kinds.
pub const ALARM: &str = "alarm";
/// The latest picture of any kind.
pub const SNAPSHOT: &str = "snapshot";
/// When the latest alarm was.
pub const LAST_ALARM: &str = "last_alarm";
/// What the latest alarm was.
pub const LAST_KIND: &str = "last_kind";
/// Device time less receipt time.
pub const CLOCK_OFFSET: &str = "clock_offset";
/// When the device was last heard.
pub const LAST_HEARD: &str = "last_heard";
/// The device's address.
pub const IP: &str = "ip";
/// The doorbell's own event entity.
pub const DOORBELL: &str = "doorbell";

/// Keys of a device's fixed components that a kind could be named like.
pub const FIXED: [&str; 8] = [ALARM, SNAPSHOT, LAST_ALARM, LAST_KIND, CLOCK_OFFSET, LAST_HEARD, IP, DOORBELL];

/// Keys of the bridge's components.
pub mod of_bridge {
    /// Whether it is connected to the broker.
    pub const CONNECTIVITY: &str = "connectivity";
    /// When it started.
    pub const STARTED: &str = "started";
    /// Its version.
    pub const VERSION: &str = "version";
    /// Messages that wait.
    pub const BACKLOG: &str = "backlog";
    /// Messages set aside.
    pub const PARKED: &str = "parked";
    /// What is wrong.
    pub const PROBLEMS: &str = "problems";
    /// Alarms received.
    pub const ALARMS: &str = "alarms";

    /// All of them.
    pub const ALL: [&str; 7] = [CONNECTIVITY, STARTED, VERSION, BACKLOG, PARKED, PROBLEMS, ALARMS];
}

/// The identifier of a device, also the node of its discovery topic.
#[must_use]
pub fn device(source: &Source) -> String {
    format!("alarmbus_{source}")
}

/// The source a device's identifier was made from.
#[must_use]
pub fn source_of(device: &str) -> Option<Source> {
    Source::from_known(device.strip_prefix("alarmbus_")?)
}

/// The identifier of the bridge.
#[must_use]
pub fn bridge(instance: &str) -> String {
    format!("alarmbus_bridge_{instance}")
}

/// The unique identifier of a component of a device (or of the bridge).
#[must_use]
pub fn unique(device: &str, key: &str) -> String {
    format!("{device}_{key}")
}

/// The key of the binary sensor of a kind.
#[must_use]
pub fn state(event: &EventName) -> String {
    let slug = event.as_str();
    if FIXED.contains(&slug) { format!("state-{slug}") } else { slug.into() }
}

/// The key of the image of a kind.
#[must_use]
pub fn snapshot(event: &EventName) -> String {
    format!("snapshot-{event}")
}

/// The key of the count of a kind.
#[must_use]
pub fn count(event: &EventName) -> String {
    format!("count-{event}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Write;

    use super::{FIXED, bridge, count, device, of_bridge, snapshot, source_of, state, unique};
    use crate::model::event::KINDS;
    use crate::model::testing;
    use crate::model::{EventName, Source};

    #[test]
    fn identifiers_are_frozen() {
        let source = Source::from_known("98ba5f8b1003-2").unwrap();
        let (camera, bridge) = (device(&source), bridge("0f3a9c"));
        let mut keys: Vec<String> = FIXED.iter().map(ToString::to_string).collect();
        let names = KINDS.iter().map(|kind| kind.slug).chain(["alarm", "line_of_ducks"]);
        for event in names.map(EventName::new) {
            keys.extend([state(&event), snapshot(&event), count(&event)]);
        }
        let mut text = String::new();
        for key in &keys {
            writeln!(text, "{}", unique(&camera, key)).unwrap();
        }
        for key in of_bridge::ALL {
            writeln!(text, "{}", unique(&bridge, key)).unwrap();
        }
        testing::golden("unique_ids.txt", &text);
    }

    #[test]
    fn no_two_components_share_a_key() {
        let mut keys: HashSet<String> = FIXED.iter().map(ToString::to_string).collect();
        let names = KINDS.iter().map(|kind| kind.slug).chain(FIXED).collect::<HashSet<_>>();
        for event in names.into_iter().map(EventName::new) {
            for key in [state(&event), snapshot(&event), count(&event)] {
                assert!(keys.insert(key.clone()), "{key} stands twice");
            }
        }
    }

    #[test]
    fn a_device_identifier_leads_back_to_its_source() {
        let source = Source::of_ip("192.168.0.101");
        assert_eq!(source_of(&device(&source)), Some(source));
        assert_eq!(source_of("zigbee_1"), None);
    }
}
