//! The catalogue of kinds: slugs, titles, modes and Home Assistant classes.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::device::slug::slug;

/// The canonical name of a kind: a slug, so it is safe as a topic level.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct EventName(Arc<str>);

/// Grouping of a kind's alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Repeats within the hold are one activity: ON, then OFF when the hold runs out.
    Activity,
    /// Every alarm is a single event without a state.
    Moment,
    /// ON until a user clears it or the fault hold ends.
    Fault,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct EventKind {
    /// The slug.
    pub slug: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// Grouping of its alarms.
    pub mode: Mode,
    /// The Home Assistant device class of its binary sensor.
    pub class: Option<&'static str>,
    /// The icon, where the class has none that fits.
    pub icon: Option<&'static str>,
}

/// Declares the catalogue, one line per kind.
macro_rules! kinds {
    ($($slug:literal, $title:literal, $mode:ident, $class:expr, $icon:expr;)*) => {
        /// Every kind with its own title, mode and class. Other names work too, with defaults.
        pub static KINDS: &[EventKind] = &[$(EventKind { slug: $slug, title: $title, mode: Mode::$mode, class: $class, icon: $icon }),*];
    };
}

kinds! {
    "motion", "Motion", Activity, Some("motion"), None;
    "person", "Person", Activity, Some("occupancy"), Some("mdi:account");
    "vehicle", "Vehicle", Activity, Some("motion"), Some("mdi:car");
    "non_motor_vehicle", "Non-motor vehicle", Activity, Some("motion"), Some("mdi:bike");
    "pet", "Pet", Activity, Some("motion"), Some("mdi:paw");
    "face", "Face", Activity, Some("occupancy"), Some("mdi:face-recognition");
    "license_plate", "License plate", Moment, None, Some("mdi:card-text");
    "line_crossing", "Line crossing", Activity, Some("motion"), Some("mdi:vector-line");
    "intrusion", "Intrusion", Activity, Some("motion"), Some("mdi:shield-alert");
    "region_entrance", "Region entrance", Activity, Some("motion"), Some("mdi:location-enter");
    "region_exit", "Region exit", Activity, Some("motion"), Some("mdi:location-exit");
    "loitering", "Loitering", Activity, Some("occupancy"), Some("mdi:walk");
    "crowd", "Crowd", Activity, Some("occupancy"), Some("mdi:account-group");
    "fast_motion", "Fast motion", Activity, Some("motion"), Some("mdi:run-fast");
    "parking", "Parking", Moment, None, Some("mdi:parking");
    "object_left", "Object left", Moment, None, Some("mdi:bag-suitcase");
    "object_removed", "Object removed", Moment, None, Some("mdi:bag-suitcase-off");
    "object_left_or_removed", "Object left or removed", Moment, None, Some("mdi:bag-suitcase");
    "audio_anomaly", "Audio anomaly", Activity, Some("sound"), None;
    "baby_cry", "Baby cry", Activity, Some("sound"), Some("mdi:baby-face");
    "tamper", "Tamper", Fault, Some("tamper"), None;
    "defocus", "Defocus", Fault, Some("problem"), Some("mdi:blur");
    "scene_change", "Scene change", Fault, Some("tamper"), Some("mdi:image-broken");
    "smart_event", "Smart event", Activity, Some("motion"), None;
    "alarm_signal", "Alarm signal", Activity, Some("safety"), None;
    "video_loss", "Video loss", Fault, Some("problem"), Some("mdi:video-off");
    "video_message", "Video message", Moment, None, Some("mdi:message-video");
    "doorbell", "Doorbell", Moment, None, Some("mdi:doorbell-video");
    "emergency_call", "Emergency call", Activity, Some("safety"), Some("mdi:phone-alert");
    "sd_card_missing", "SD card missing", Fault, Some("problem"), Some("mdi:micro-sd");
    "sd_card_full", "SD card full", Fault, Some("problem"), Some("mdi:micro-sd");
    "sd_card_error", "SD card error", Fault, Some("problem"), Some("mdi:micro-sd");
    "disk_missing", "Disk missing", Fault, Some("problem"), Some("mdi:harddisk");
    "disk_full", "Disk full", Fault, Some("problem"), Some("mdi:harddisk");
    "disk_error", "Disk error", Fault, Some("problem"), Some("mdi:harddisk");
    "disk_disabled", "Disk disabled", Fault, Some("problem"), Some("mdi:harddisk-remove");
    "device_offline", "Device offline", Fault, Some("problem"), Some("mdi:lan-disconnect");
    "login_error", "Login error", Moment, Some("problem"), Some("mdi:account-lock");
    "poe_port_short", "PoE port short circuit", Fault, Some("problem"), Some("mdi:ethernet");
    "poe_port_overload", "PoE port overload", Fault, Some("problem"), Some("mdi:ethernet");
    "poe_overload", "PoE overload", Fault, Some("problem"), Some("mdi:ethernet");
    "poe_overheat", "PoE overheat", Fault, Some("heat"), None;
    "alarm_input", "Alarm input", Activity, Some("safety"), None;
    "fan_fault", "Fan fault", Fault, Some("problem"), Some("mdi:fan-alert");
    "ip_conflict", "IP conflict", Fault, Some("problem"), Some("mdi:ip-network");
    "raid_offline", "RAID offline", Fault, Some("problem"), Some("mdi:harddisk");
    "raid_degraded", "RAID degraded", Fault, Some("problem"), Some("mdi:harddisk");
    "raid_disk_fault", "RAID disk fault", Fault, Some("problem"), Some("mdi:harddisk");
    "raid_spare_fault", "RAID spare fault", Fault, Some("problem"), Some("mdi:harddisk");
    "raid_missing", "RAID missing", Fault, Some("problem"), Some("mdi:harddisk");
    "raid_full", "RAID full", Fault, Some("problem"), Some("mdi:harddisk");
    "raid_no_disk", "RAID without disk", Fault, Some("problem"), Some("mdi:harddisk");
    "raid_disk_password_error", "RAID disk password error", Fault, Some("problem"), Some("mdi:harddisk");
    "package", "Package", Activity, Some("motion"), Some("mdi:package-variant");
    "access_granted", "Access granted", Moment, None, Some("mdi:door-open");
    "access_denied", "Access denied", Moment, None, Some("mdi:account-cancel");
    "access", "Access", Moment, None, Some("mdi:badge-account");
    "counting", "Counting", Moment, None, Some("mdi:counter");
    "smoke", "Smoke", Activity, Some("smoke"), None;
    "co", "Carbon monoxide", Activity, Some("carbon_monoxide"), None;
    "glass_break", "Glass break", Activity, Some("sound"), Some("mdi:glass-fragile");
    "siren", "Siren", Activity, Some("sound"), Some("mdi:bullhorn");
    "bark", "Bark", Activity, Some("sound"), Some("mdi:dog");
    "car_horn", "Car horn", Activity, Some("sound"), Some("mdi:bugle");
    "pir", "Infrared motion", Activity, Some("motion"), Some("mdi:motion-sensor");
    "door_open", "Door opened", Moment, None, Some("mdi:door-open");
    "door_closed", "Door closed", Moment, None, Some("mdi:door-closed");
    "water_leak", "Water leak", Activity, Some("moisture"), None;
    "battery_low", "Battery low", Fault, Some("battery"), None;
    "network_down", "Network down", Fault, Some("problem"), Some("mdi:lan-disconnect");
    "device_problem", "Device problem", Fault, Some("problem"), None;
    "unknown", "Unknown", Activity, None, Some("mdi:help-circle");
    "other", "Other", Activity, None, Some("mdi:help-circle");
}

impl EventName {
    /// The kind of a text, converted to a slug (`unknown` when nothing of it is left).
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(slug(text).map_or_else(|| "unknown".into(), Into::into))
    }

    /// The slug, as in topics.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its row of the catalogue, if it has one.
    #[must_use]
    pub fn kind(&self) -> Option<&'static EventKind> {
        KINDS.iter().find(|kind| kind.slug == &*self.0)
    }

    /// The name for people: from the catalogue, else made from the slug.
    #[must_use]
    pub fn title(&self) -> String {
        self.kind().map_or_else(|| titled(&self.0), |kind| kind.title.into())
    }

    /// Grouping of its alarms. Unknown names are activities; a recorder's unknown numbers are moments.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.kind() {
            Some(kind) => kind.mode,
            None if self.0.starts_with("nvr_") => Mode::Moment,
            None if ["sd_", "disk_", "raid_", "poe_"].iter().any(|head| self.0.starts_with(head)) => {
                Mode::Fault
            }
            None => Mode::Activity,
        }
    }
}

/// `some_slug` as `Some slug`.
fn titled(slug: &str) -> String {
    let text = slug.replace('_', " ");
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventName, KINDS, Mode};
    use crate::model::device::slug::slug;

    #[test]
    fn the_catalogue_is_made_of_slugs_each_once() {
        let mut seen = std::collections::HashSet::new();
        for kind in KINDS {
            assert_eq!(slug(kind.slug).as_deref(), Some(kind.slug));
            assert!(seen.insert(kind.slug), "{} is given twice", kind.slug);
        }
    }

    #[test]
    fn unknown_names_get_a_title_and_a_mode() {
        assert_eq!(EventName::new("Line Of Ducks").title(), "Line of ducks");
        assert_eq!(EventName::new("LINE OF DUCKS").mode(), Mode::Activity);
        assert_eq!(EventName::new("nvr_1_101").mode(), Mode::Moment);
        assert_eq!(EventName::new("raid_new_trouble").mode(), Mode::Fault);
    }
}
