//! Names of events as VIGI cameras write them. Only `MOTION` and `PEOPLE` were seen in real pushes; the others are
//! names that the camera uses elsewhere, or probable ones.

use serde_json::Value;

use super::fields::{cut, text};
use crate::model::EventName;

/// Suffixes of which one is dropped before a name is looked up.
const SUFFIXES: [&str; 3] = ["DETECTION", "DETECT", "ALARM"];

/// Canonical slug, then the spellings that mean it, upper case and without signs.
const NAMES: &[(&str, &[&str])] = &[
    ("motion", &["MOTION", "CELLMOTIONDETECTOR"]),
    ("person", &["PEOPLE", "HUMAN", "PERSON", "PEOPLEDETECTOR"]),
    ("vehicle", &["VEHICLE"]),
    ("non_motor_vehicle", &["NONVEHICLE", "NONMOTORVEHICLE", "EBIKE"]),
    ("pet", &["PET", "ANIMAL"]),
    ("face", &["FACE"]),
    ("license_plate", &["LICENSEPLATE", "LPR", "ANPR"]),
    ("line_crossing", &["LINECROSSING", "CROSSLINE", "LINECROSSDETECTOR"]),
    ("intrusion", &["INTRUSION", "INVASION", "INTRUSIONDETECTOR"]),
    ("region_entrance", &["REGIONENTRANCE", "REGIONENTERING", "AREAENTRY"]),
    ("region_exit", &["REGIONEXIT", "REGIONEXITING", "AREALEAVE"]),
    ("loitering", &["LOITERING", "LOITER", "WANDER"]),
    ("crowd", &["CROWD", "PEOPLEGATHERING"]),
    ("fast_motion", &["FASTMOVING", "FASTMOTION"]),
    ("parking", &["PARKING"]),
    ("object_left", &["OBJECTABANDONED", "OBJECTLEFT"]),
    ("object_removed", &["OBJECTREMOVAL", "OBJECTREMOVED", "OBJECTTAKEN"]),
    ("object_left_or_removed", &["ABANDONORTAKE", "DROPANDTAKE"]),
    ("audio_anomaly", &["AUDIOANOMALY", "SOUND"]),
    ("baby_cry", &["CRY", "BABYCRY"]),
    ("tamper", &["TAMPER", "TAMPERING", "VIDEOTAMPER", "TAMPERDETECTOR"]),
    ("defocus", &["OUTOFFOCUS", "DEFOCUS"]),
    ("scene_change", &["SCENECHANGE"]),
    ("smart_event", &["TPSMARTEVENT"]),
    ("alarm_signal", &["ALARMSIGNAL"]),
    ("video_loss", &["VIDEOLOSS"]),
    ("doorbell", &["DOORBELL", "CALL"]),
    ("login_error", &["ILLEGALLOGIN"]),
    ("alarm_input", &["ALARMINPUT"]),
];

/// A kind of event with the device's own name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The canonical kind.
    pub(crate) event: EventName,
    /// As written, at most 128 characters.
    pub(crate) raw: String,
}

impl Named {
    /// An event without a name.
    pub(crate) fn unknown() -> Self {
        Self { event: EventName::new("unknown"), raw: String::new() }
    }
}

/// The kind for a camera's name; an unknown name is a kind of its own.
pub(crate) fn event(raw: &str) -> EventName {
    known(raw).map_or_else(|| EventName::new(raw), EventName::new)
}

/// Slug of a name in the table.
fn known(raw: &str) -> Option<&'static str> {
    // Slugs are at most 64 characters, and no name in the table is longer.
    let bare: String = raw
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(80)
        .map(|character| character.to_ascii_uppercase())
        .collect();
    let stripped = SUFFIXES.iter().find_map(|suffix| bare.strip_suffix(suffix));
    look_up(&bare).or_else(|| look_up(stripped?))
}

/// The slug of a spelling.
fn look_up(spelling: &str) -> Option<&'static str> {
    NAMES.iter().find(|(_, spellings)| spellings.contains(&spelling)).map(|(slug, _)| *slug)
}

/// All names in the value of `event_type`: a string, a number, a list, or nested lists. Each kind is returned once;
/// an entry without a name is still an event.
pub(crate) fn all(value: Option<&Value>) -> Vec<Named> {
    let mut names = Vec::new();
    let mut seen = std::collections::HashSet::new();
    collect(value.unwrap_or(&Value::Null), &mut |raw| {
        let named = Named { event: event(raw), raw: cut(raw) };
        if seen.insert(named.event.clone()) {
            names.push(named);
        }
    });
    if names.is_empty() {
        names.push(Named::unknown());
    }
    names
}

/// Calls `take` for every name in a value. Depth is limited by the JSON reader.
fn collect(value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| collect(item, take)),
        Value::Object(map) => {
            map.values()
                .filter(|item| !item.is_number() && !item.is_boolean())
                .for_each(|item| collect(item, take));
        }
        Value::String(name) => split(name, take),
        Value::Number(_) | Value::Bool(_) => text(value).iter().for_each(|name| take(name)),
        Value::Null => {}
    }
}

/// Calls `take` for a name, or for the names in a list written as one string, if each of them is known.
fn split(name: &str, take: &mut impl FnMut(&str)) {
    let pieces = || name.split([',', ';', '|']).map(str::trim);
    if name.len() <= 256 && pieces().all(|piece| known(piece).is_some()) {
        pieces().for_each(take);
    } else if !name.trim().is_empty() {
        take(name.trim());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{NAMES, all, event};

    #[test]
    fn the_table_is_consistent() {
        let mut seen = std::collections::HashSet::new();
        for (slug, spellings) in NAMES {
            assert_eq!(crate::model::device::slug::slug(slug).as_deref(), Some(*slug));
            assert!(crate::model::EventName::new(slug).kind().is_some(), "{slug} has no title");
            for spelling in *spellings {
                assert!(seen.insert(spelling), "{spelling} is given twice");
                assert!(spelling.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{spelling}");
            }
            assert_eq!(event(slug).as_str(), *slug, "the slug itself is understood");
        }
    }

    #[test]
    fn names_in_any_spelling() {
        for (raw, slug) in [
            ("PEOPLE", "person"),
            ("People Detection", "person"),
            ("motion-detect", "motion"),
            ("MotionDetectionAlarm", "motiondetectionalarm"),
            ("Line_Crossing", "line_crossing"),
            ("CrossLineDetection", "line_crossing"),
            ("ALARM", "alarm"),
            ("Smoke Detected!", "smoke_detected"),
            ("人", "unknown"),
            ("a/b+#$.*>", "a_b"),
        ] {
            assert_eq!(event(raw).as_str(), slug, "{raw}");
        }
    }

    #[test]
    fn lists_of_any_shape() {
        let names = |value| all(Some(&value)).into_iter().map(|named| named.raw).collect::<Vec<_>>();
        assert_eq!(names(json!([["MOTION"], "PEOPLE", [["HUMAN", 7]]])), ["MOTION", "PEOPLE", "7"]);
        assert_eq!(names(json!("MOTION, PEOPLE")), ["MOTION", "PEOPLE"]);
        assert_eq!(names(json!("Ducks, geese")), ["Ducks, geese"]);
        assert_eq!(names(json!([])), [""]);
        assert_eq!(names(json!("x".repeat(500)))[0].len(), 128);
        assert_eq!(all(None)[0].event.as_str(), "unknown");
    }
}
