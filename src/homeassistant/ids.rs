//! Identifiers in Home Assistant. They are in one file because they must never change.
//!
//! Home Assistant stores names, areas, history and automations by `unique_id`. A changed identifier creates a new
//! entity and orphans the old one, for every user. Therefore **no function in this file may ever return another
//! value**, and a golden test checks this. New fixed components may be added; their keys contain a `-`, which no kind
//! has. A key is never reused for another platform.

use crate::model::{EventName, Source};

/// The event entity of all kinds.
pub const ALARM: &str = "alarm";
/// The latest picture of any kind.
pub const SNAPSHOT: &str = "snapshot";
/// Time of the latest alarm.
pub const LAST_ALARM: &str = "last_alarm";
/// Kind of the latest alarm.
pub const LAST_KIND: &str = "last_kind";
/// Device time minus receipt time.
pub const CLOCK_OFFSET: &str = "clock_offset";
/// Time at which the device was last heard.
pub const LAST_HEARD: &str = "last_heard";
/// The device's address.
pub const IP: &str = "ip";
/// The doorbell's own event entity.
pub const DOORBELL: &str = "doorbell";

/// Switch that mutes the device; no kind can have this name.
pub const MUTE: &str = "mute-switch";

/// Key of the entity for an open door.
pub const DOOR: &str = "door-contact";

/// Keys of fixed components that could also be the name of a kind.
pub const FIXED: [&str; 8] = [ALARM, SNAPSHOT, LAST_ALARM, LAST_KIND, CLOCK_OFFSET, LAST_HEARD, IP, DOORBELL];

/// Keys of the bridge's components.
pub mod of_bridge {
    /// Key of the entity for the connection to the broker.
    pub const CONNECTIVITY: &str = "connectivity";
    /// Time of its start.
    pub const STARTED: &str = "started";
    /// Its version.
    pub const VERSION: &str = "version";
    /// Number of undelivered messages.
    pub const BACKLOG: &str = "backlog";
    /// Number of parked messages.
    pub const PARKED: &str = "parked";
    /// Current problems.
    pub const PROBLEMS: &str = "problems";
    /// Number of received alarms.
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

    use super::{DOOR, FIXED, bridge, count, device, of_bridge, snapshot, source_of, state, unique};
    use crate::model::event::KINDS;
    use crate::model::testing;
    use crate::model::{EventName, Source};

    #[test]
    fn identifiers_are_frozen() {
        let source = Source::from_known("98ba5f8b1003-2").unwrap();
        let (camera, bridge) = (device(&source), bridge("0f3a9c"));
        let mut keys: Vec<String> = FIXED.iter().chain([&DOOR]).map(ToString::to_string).collect();
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
        let mut keys: HashSet<String> = FIXED.iter().chain([&DOOR]).map(ToString::to_string).collect();
        let names = KINDS.iter().map(|kind| kind.slug).chain(FIXED).collect::<HashSet<_>>();
        for event in names.into_iter().map(EventName::new) {
            for key in [state(&event), snapshot(&event), count(&event)] {
                assert!(keys.insert(key.clone()), "{key} is given twice");
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
