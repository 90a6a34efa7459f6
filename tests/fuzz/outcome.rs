//! What came of an input, in few words: inputs that differ here are worth mutating further.

use std::collections::BTreeSet;

use alarmbus::config::Mistakes;
use alarmbus::model::jpeg::Dimensions;
use alarmbus::model::{Alarm, Picture};
use alarmbus::vendor::{Decoded, Problem};

/// What was understood of a report, without what is counted or named in it.
pub(crate) fn understood(decoded: &Decoded) -> String {
    let problem = |problem: &Problem| format!("{} {}", problem.code, words(&problem.detail));
    let picture = |picture: &Picture| format!("{:?}", picture.problem);
    let problems: BTreeSet<String> = decoded.problems.iter().map(problem).collect();
    let alarms: BTreeSet<String> = decoded.alarms.iter().map(alarm).collect();
    let pictures: BTreeSet<String> = decoded.pictures.iter().map(picture).collect();
    format!("{} {problems:?} {alarms:?} {pictures:?}", decoded.alarms.len().min(2))
}

/// Which fields of an alarm are there.
fn alarm(alarm: &Alarm) -> String {
    let device = &alarm.device;
    let there = [
        device.mac.is_some(),
        device.name.is_some(),
        device.device_id.is_some(),
        device.ip.is_some(),
        device.channel.is_some(),
        alarm.time_raw.is_some(),
        alarm.picture.is_some(),
        alarm.count.is_some(),
        !alarm.boxes.is_empty(),
        !alarm.regions.is_empty(),
        !alarm.extra.is_empty(),
        alarm.truncated,
    ];
    format!("{} {:?} {there:?}", device.vendor, device.kind)
}

/// What stands before the frame of a JPEG: the kinds of its first segments, and whether it was found.
pub(crate) fn header(input: &[u8], found: Option<Dimensions>) -> String {
    let (mut kinds, mut at) = (Vec::new(), 2);
    while let Some(&[0xff, kind, high, low]) = input.get(at..at + 4) {
        kinds.push(kind);
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if kinds.len() == 3 {
            break;
        }
    }
    format!("{} {kinds:x?} {}", found.is_some(), input.len() < at)
}

/// Which mistakes a configuration has: their keys and the beginnings of their texts.
pub(crate) fn mistakes(mistakes: &Mistakes) -> String {
    let one =
        |mistake: &alarmbus::config::Mistake| format!("{} {}", known(&mistake.key), words(&mistake.text));
    let all: BTreeSet<String> = mistakes.0.iter().take(2).map(one).collect();
    format!("{all:?}")
}

/// The section of a key, if there is one of that name.
fn known(key: &str) -> &str {
    let section = key.split(['.', '[']).next().unwrap_or_default();
    let sections = ["http", "https", "admin", "webhooks", "limits", "mqtt", "nats", "topics", "devices"];
    sections.into_iter().find(|known| *known == section).unwrap_or("other")
}

/// The placeholders of a template and how its levels are made.
pub(crate) fn slots(text: &str) -> String {
    let level = |level: &str| level.matches('{').count().min(2).to_string();
    text.split('/').take(6).map(level).collect()
}

/// The words of a message that are always the same: no numbers, and nothing that is quoted.
pub(crate) fn words(message: &str) -> String {
    let unquoted: String = message.split(['"', '`']).step_by(2).collect();
    unquoted.chars().filter(|sign| sign.is_ascii_alphabetic() || *sign == ' ').take(40).collect()
}
