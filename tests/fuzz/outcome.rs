//! Outcomes of inputs as sets of features: an input with a new feature is worth mutating further.

use alarmbus::config::{Mistake, Mistakes};
use alarmbus::decode::{Decoded, ReportProblem};
use alarmbus::model::picture::jpeg::Dimensions;
use alarmbus::model::{Alarm, Picture};

use super::run::Outcome;

/// Features of a decoded report, without counts and names.
pub(crate) fn understood(decoded: &Decoded) -> Outcome {
    let problem = |problem: &ReportProblem| format!("{} {}", problem.code, words(&problem.detail));
    let picture = |picture: &Picture| format!("a picture: {:?}", picture.problem);
    let mut pieces: Outcome = decoded.problems.iter().map(problem).collect();
    pieces.extend(decoded.alarms.iter().flat_map(alarm));
    pieces.extend(decoded.pictures.iter().map(picture));
    pieces.insert(format!("{} alarms and {} pictures", decoded.alarms.len(), decoded.pictures.len().min(3)));
    pieces
}

/// Fields that an alarm has.
fn alarm(alarm: &Alarm) -> impl Iterator<Item = String> {
    let device = &alarm.device;
    let there = [
        ("mac", device.mac.is_some()),
        ("name", device.name.is_some()),
        ("device id", device.device_id.is_some()),
        ("ip", device.ip.is_some()),
        ("channel", device.channel.is_some()),
        ("channel name", device.channel_name.is_some()),
        ("time", alarm.time_raw.is_some()),
        ("picture", alarm.picture.is_some()),
        ("count", alarm.count.is_some()),
        ("boxes", !alarm.boxes.is_empty()),
        ("regions", !alarm.regions.is_empty()),
        ("extra", !alarm.extra.is_empty()),
        ("cut", alarm.truncated),
    ];
    let of = format!("{} {:?}", device.vendor, device.kind);
    there.into_iter().map(move |(what, is)| format!("{of} {}{what}", if is { "" } else { "no " }))
}

/// Features of a JPEG's header: types of its first segments, and whether the frame was found.
pub(crate) fn header(input: &[u8], found: Option<Dimensions>) -> Outcome {
    let (mut pieces, mut at) = (Outcome::new(), 2);
    while let Some(&[0xff, kind, high, low]) = input.get(at..at + 4) {
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        pieces.insert(format!("a segment {:x} {} {}", kind >> 4, found.is_some(), input.len() < at));
        if pieces.len() == 3 {
            break;
        }
    }
    pieces.insert(format!("{} segments {}", pieces.len(), found.is_some()));
    pieces
}

/// Features of the mistakes of a configuration: sections of their keys and beginnings of their texts.
pub(crate) fn mistakes(mistakes: &Mistakes) -> Outcome {
    let one = |mistake: &Mistake| format!("{} {}", section(&mistake.key), words(&mistake.text));
    mistakes.0.iter().map(one).collect()
}

/// The section of a key, if there is one of that name.
fn section(key: &str) -> &str {
    let section = key.split(['.', '[']).next().unwrap_or_default();
    let sections = ["http", "https", "admin", "webhooks", "limits", "mqtt", "nats", "topics", "devices"];
    sections.into_iter().find(|known| *known == section).unwrap_or("other")
}

/// Features of the levels of a template.
pub(crate) fn slots(text: &str) -> Outcome {
    let level = |level: &str| level.matches('{').count().min(3).to_string();
    let levels: String = text.split('/').take(6).map(level).collect();
    Outcome::from([format!("levels {levels}")])
}

/// Outcome with a message as its only feature.
pub(crate) fn message(message: &str) -> Outcome {
    Outcome::from([words(message)])
}

/// Fixed words of a message: those before anything quoted, without numbers.
fn words(message: &str) -> String {
    let own = message.split(['"', '`', '\'', '(', '{', '[']).next().unwrap_or_default();
    own.chars().filter(|sign| sign.is_ascii_alphabetic() || *sign == ' ').take(40).collect()
}
