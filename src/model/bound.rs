//! Limit on the size of an alarm's published JSON, whatever a device sends.

use std::io;

use serde::Serialize;
use serde_json::Value;

use super::AlarmRecord;

/// Maximum bytes of an alarm as published JSON.
pub const PUBLISHED_BYTES: usize = 12 * 1024;
/// Maximum bytes that rendering adds to a record: the longest topic and picture URL, the title, the schema number,
/// and the name twice.
const ADDED_BYTES: usize = 2 * 1024;
/// Maximum bytes of the record itself.
const RECORD_BYTES: usize = PUBLISHED_BYTES - ADDED_BYTES;
/// Maximum length of one byte of text in JSON (`\u0000`).
const ESCAPED: usize = 6;
/// Maximum length of a box in bytes of JSON: four numbers with their names.
const BOX_BYTES: usize = 160;
/// Maximum length of the other fields of a record: names of the keys, identifiers, times, slugs, a snapshot.
const FIXED_BYTES: usize = 2 * 1024;
/// The longest name, in characters.
const NAME_CHARACTERS: usize = 128;

/// Cuts an alarm until its published JSON is at most [`PUBLISHED_BYTES`] on every sink, and marks it `truncated`.
///
/// Called once, before the commit, so that all sinks publish the same. Unknown fields (`extra`) are removed first,
/// the last of them first; then boxes; then details; then region numbers; then names are shortened.
pub fn bound(alarm: &mut AlarmRecord) {
    if at_most(alarm) <= RECORD_BYTES || size(alarm) <= RECORD_BYTES {
        return;
    }
    alarm.truncated = true;
    let extra = std::mem::take(&mut alarm.extra);
    let boxes = std::mem::take(&mut alarm.boxes);
    let details = std::mem::take(&mut alarm.details);
    if size(alarm) > RECORD_BYTES {
        shorten(alarm);
    }
    let mut room = RECORD_BYTES.saturating_sub(size(alarm));
    // Each field adds a colon and a comma.
    alarm.details =
        details.into_iter().take_while(|(key, value)| fits(&mut room, size(key) + size(value) + 2)).collect();
    alarm.boxes = boxes.into_iter().take_while(|part| fits(&mut room, size(part) + 1)).collect();
    alarm.extra =
        extra.into_iter().take_while(|(key, value)| fits(&mut room, size(key) + size(value) + 2)).collect();
}

/// Upper bound of a record's JSON, computed without writing it: an ordinary alarm is far below the limit.
fn at_most(alarm: &AlarmRecord) -> usize {
    let device = &alarm.device;
    let texts = [&alarm.event_raw, &device.name, &alarm.time, &device.vendor];
    let maybe = [&alarm.time_raw, &device.reported_name, &device.ip];
    let texts: usize =
        texts.into_iter().chain(maybe.into_iter().flatten()).map(|text| text.len() * ESCAPED).sum();
    let fields = alarm.extra.iter().chain(&alarm.details);
    let extra: usize = fields.map(|(key, value)| key.len() * ESCAPED + 4 + value_at_most(value)).sum();
    FIXED_BYTES + texts + extra + alarm.regions.len() * 12 + alarm.boxes.len() * BOX_BYTES
}

/// Upper bound of one value's JSON.
fn value_at_most(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 6,
        Value::Number(_) => 32,
        Value::String(text) => text.len() * ESCAPED + 3,
        Value::Array(items) => 3 + items.iter().map(value_at_most).sum::<usize>(),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| key.len() * ESCAPED + 4 + value_at_most(value);
            3 + fields.iter().map(field).sum::<usize>()
        }
    }
}

/// Cuts regions and texts to plausible lengths.
fn shorten(alarm: &mut AlarmRecord) {
    let mut room = RECORD_BYTES / 4;
    alarm.regions.retain(|region| fits(&mut room, size(region) + 1));
    let device = &mut alarm.device;
    let texts = [&mut alarm.event_raw, &mut device.name, &mut alarm.time, &mut device.vendor];
    let maybe = [&mut alarm.time_raw, &mut device.reported_name, &mut device.ip];
    for text in texts.into_iter().chain(maybe.into_iter().flatten()) {
        if let Some((at, _)) = text.char_indices().nth(NAME_CHARACTERS) {
            text.truncate(at);
        }
    }
}

/// Subtracts bytes from the remaining space, if they fit.
fn fits(room: &mut usize, bytes: usize) -> bool {
    match room.checked_sub(bytes) {
        Some(left) => {
            *room = left;
            true
        }
        None => false,
    }
}

/// Length of a value as JSON, without storing it.
fn size(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        // Serialising these types cannot fail; if it did, the value counts as too large and is cut.
        Err(_) => usize::MAX / 2,
    }
}

/// Writer that counts bytes.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{RECORD_BYTES, at_most, bound, size};
    use crate::model::{AlarmRecord, BoundingBox, testing};

    /// A box whose numbers are long.
    const BOX: BoundingBox = BoundingBox {
        x: 0.123_456_789_012_345_6,
        y: 0.987_654_321_098_765_4,
        width: 1.0 / 3.0,
        height: 2.0 / 3.0,
    };

    #[test]
    fn what_fits_is_left_alone() {
        let mut alarm = testing::person();
        bound(&mut alarm);
        assert_eq!(alarm, testing::person());
    }

    #[test]
    fn the_estimate_is_never_too_low() {
        let mut alarm = worst();
        alarm.regions.truncate(50);
        alarm.boxes = vec![BOX; 40];
        alarm.extra.insert(
            "\u{1}\u{2}".into(),
            json!({"\u{3}": [null, true, -1.234_567_890_123_456e-300, "\u{4}"]}),
        );
        let text = |times: usize| "\u{1}".repeat(times);
        for times in [0, 1, 40, 9_000] {
            alarm.event_raw = text(times);
            alarm.device.name = text(times);
            assert!(size(&alarm) <= at_most(&alarm), "{} > {}", size(&alarm), at_most(&alarm));
        }
        assert!(at_most(&testing::person()) <= RECORD_BYTES, "an ordinary alarm is not measured");
    }

    #[test]
    fn extra_goes_before_boxes() {
        let mut alarm = testing::person();
        alarm.boxes = vec![BOX; 40];
        for n in 0..2_000 {
            alarm.extra.insert(format!("field_{n}"), json!({"value": n}));
        }
        bound(&mut alarm);
        assert!(alarm.truncated && size(&alarm) <= RECORD_BYTES && size(&alarm) > RECORD_BYTES - 100);
        assert_eq!(alarm.boxes.len(), 40);
        assert!(alarm.extra.contains_key("field_0") && !alarm.extra.contains_key("field_1999"));
    }

    #[test]
    fn boxes_go_when_they_alone_are_too_many() {
        let mut alarm = testing::person();
        alarm.boxes = vec![BOX; 4_000];
        alarm.extra.insert("a".into(), Value::String("x".repeat(50_000)));
        bound(&mut alarm);
        assert!(alarm.truncated && size(&alarm) <= RECORD_BYTES);
        assert!(alarm.boxes.len() > 50 && alarm.extra.is_empty(), "{}", alarm.boxes.len());
    }

    #[test]
    fn the_worst_texts_are_cut() {
        let mut alarm = worst();
        bound(&mut alarm);
        assert!(alarm.truncated && size(&alarm) <= RECORD_BYTES, "{}", size(&alarm));
        assert_eq!(alarm.event_raw.chars().count(), 128);
        assert!(!alarm.regions.is_empty());
    }

    /// Every text of characters that JSON spells with six bytes.
    fn worst() -> AlarmRecord {
        let long = "\u{1}".repeat(9_000);
        let mut alarm = testing::person();
        alarm.event_raw.clone_from(&long);
        alarm.time_raw = Some(long.clone());
        alarm.device.name.clone_from(&long);
        alarm.device.reported_name = Some(long.clone());
        alarm.device.ip = Some(long);
        alarm.regions = (0..100_000).collect();
        alarm
    }
}
