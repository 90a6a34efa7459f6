//! Search terms of an alarm: the words a person would type, and one term for each property that can be filtered by.
//!
//! A term of a property begins with `_`, which no word has.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::model::EventName;
use crate::model::record::AlarmRecord;

/// Maximum number of terms of one alarm.
const MAX_TERMS: usize = 256;
/// Maximum letters of a term; longer ones are cut, in alarms and in queries.
const MAX_TERM_LENGTH: usize = 48;
/// Maximum depth at which details are searched.
const MAX_DEPTH: u8 = 6;

/// The term of a source.
pub(super) fn of_source(source_no: i64) -> String {
    format!("_s:{source_no}")
}

/// The term of a kind.
pub(super) fn of_event(event: &EventName) -> String {
    format!("_e:{}", plain(event.as_str()))
}

/// The term of a kind at one source. Each of the two alone may match most alarms, and both together none.
pub(super) fn of_event_at(source_no: i64, event: &EventName) -> String {
    format!("_e:{}:{source_no}", plain(event.as_str()))
}

/// The term of a maker.
pub(super) fn of_maker(maker: &str) -> String {
    format!("_m:{}", plain(maker))
}

/// The term of alarms with a picture, or without one.
pub(super) fn of_picture(picture: bool) -> &'static str {
    if picture { "_p:yes" } else { "_p:no" }
}

/// A name as part of a term, in characters that the tokenizer of the index leaves unchanged.
fn plain(name: &str) -> String {
    let sign = |sign: char| if sign.is_ascii_alphanumeric() || sign == '-' { sign } else { '_' };
    name.to_lowercase().chars().map(sign).collect()
}

/// All terms of an alarm.
pub(super) fn of_alarm(source_no: i64, alarm: &AlarmRecord) -> Vec<String> {
    let picture = alarm.snapshot.as_ref().is_some_and(|snapshot| snapshot.picture.is_some());
    let mut terms = vec![
        of_source(source_no),
        of_event(&alarm.event),
        of_event_at(source_no, &alarm.event),
        of_maker(&alarm.device.vendor),
        of_picture(picture).to_owned(),
    ];
    terms.extend(of_text(alarm));
    terms
}

/// Returns whether an alarm has all words of a text, each at least as the beginning of one of its words.
pub(super) fn contains(alarm: &AlarmRecord, text: &str) -> bool {
    let terms = of_text(alarm);
    words(text).iter().all(|word| terms.iter().any(|term| term.starts_with(word.as_str())))
}

/// Words of a search text.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    split(text, &mut found);
    found.into_iter().collect()
}

/// The words of an alarm.
fn of_text(alarm: &AlarmRecord) -> BTreeSet<String> {
    let device = &alarm.device;
    let mut found = BTreeSet::new();
    let title = alarm.event.title();
    let fixed = [&device.name, &title, &alarm.event_raw, &device.vendor];
    for text in fixed.into_iter().chain(&device.reported_name).chain(&device.ip) {
        split(text, &mut found);
    }
    split(alarm.source.as_str(), &mut found);
    split(alarm.event.as_str(), &mut found);
    for map in [&alarm.details, &alarm.extra] {
        of_map(map, MAX_DEPTH, &mut found);
    }
    found
}

fn of_map(map: &Map<String, Value>, depth: u8, found: &mut BTreeSet<String>) {
    map.values().for_each(|value| of_value(value, depth, found));
}

fn of_value(value: &Value, depth: u8, found: &mut BTreeSet<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::String(text) => {
            split(text, found);
            // A plate is found however its groups are separated.
            let joined: String = text.chars().filter(|sign| sign.is_alphanumeric()).collect();
            if (2..=16).contains(&joined.len()) {
                split(&joined, found);
            }
        }
        Value::Number(number) => split(&number.to_string(), found),
        Value::Array(values) => values.iter().for_each(|value| of_value(value, depth, found)),
        Value::Object(map) => of_map(map, depth, found),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Adds the words of a text, in lower case.
fn split(text: &str, found: &mut BTreeSet<String>) {
    for word in text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if MAX_TERMS <= found.len() {
            return;
        }
        found.insert(word.chars().flat_map(char::to_lowercase).take(MAX_TERM_LENGTH).collect());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::testing;

    #[test]
    fn a_plate_a_colour_and_a_name_are_found_in_any_order_and_from_their_beginning() {
        let details = json!({"plate": "B-AB 1234", "vehicle": {"colour": "Red"}});
        let details = details.as_object().cloned().unwrap();
        let alarm = AlarmRecord { details, ..testing::person() };
        for text in ["red", "1234 RED", "bab1234", "BAB12", "b-ab 1234", "person", ""] {
            assert!(contains(&alarm, text), "{text}");
        }
        for text in ["blue", "red zebra", "_p:yes"] {
            assert!(!contains(&alarm, text), "{text}");
        }
        assert_eq!(words("  Straße-7 "), ["7", "straße"]);
    }
}
