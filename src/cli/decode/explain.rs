//! Summary of decoded alarms, and the result of each pointer of a mapping, printed by `decode`.

use std::fmt::Write as _;

use crate::decode::{Decoded, Explanation};
use crate::model::{Alarm, Picture, Reported};

/// Maximum number of alarms in the summary.
const MAX_ALARMS: usize = 8;

/// Summary: four lines per alarm (event, device, time, picture), one line per sign of life or test.
pub(in crate::cli) fn summary(decoded: &Decoded) -> String {
    let mut text = String::new();
    for alarm in decoded.alarms.iter().take(MAX_ALARMS) {
        // Writing to a String cannot fail.
        let _written = write!(
            text,
            "event    {}\ndevice   {}\ntime     {}\npicture  {}\n\n",
            event(alarm),
            device(&alarm.device),
            alarm.time_raw.as_deref().unwrap_or("none; the time of receipt is used"),
            picture(alarm, &decoded.pictures)
        );
    }
    if decoded.alarms.len() > MAX_ALARMS {
        text.push_str(&format!("and {} more alarms\n\n", decoded.alarms.len() - MAX_ALARMS));
    }
    for sign in &decoded.signs {
        let what = if sign.test { "a test" } else { "a sign of life" };
        text.push_str(&format!("no alarm, but {what} of {}\n\n", device(&sign.device)));
    }
    if text.is_empty() {
        text.push_str("no alarm is in it\n\n");
    }
    text
}

/// Kind with its title and the device's own name, and whether it starts or ends.
fn event(alarm: &Alarm) -> String {
    let mut text = alarm.event.to_string();
    if !alarm.event_raw.is_empty() {
        text.push_str(&format!(" (the device says {:?})", alarm.event_raw));
    }
    if let Some(state) = alarm.state {
        text.push_str(&format!(
            ", {}",
            serde_json::to_value(state)
                .ok()
                .and_then(|it| it.as_str().map(str::to_owned))
                .unwrap_or_default()
        ));
    }
    text
}

/// Identity of the device.
fn device(device: &Reported) -> String {
    let mac = device.mac.map(|mac| mac.to_string());
    let who = mac.or_else(|| device.device_id.clone()).or_else(|| device.ip.clone());
    let mut text = who.unwrap_or_else(|| "no identifier; its address is used".into());
    if let Some(name) = &device.name {
        text.push_str(&format!(", {name:?}"));
    }
    if let Some(channel) = device.channel {
        text.push_str(&format!(", channel {channel}"));
    }
    format!("{text} ({})", device.vendor)
}

/// Description of the picture.
fn picture(alarm: &Alarm, pictures: &[Picture]) -> String {
    let Some(picture) = alarm.picture.and_then(|index| pictures.get(index)) else { return "none".into() };
    match picture.dimensions {
        Some(size) => format!("{}x{}, {} bytes", size.width, size.height, picture.bytes),
        None => format!("{} bytes that are not a picture", picture.bytes),
    }
}

/// Result of each pointer, one per line.
pub(super) fn explanation(explained: &Explanation) -> String {
    let verdict = if explained.recognised { "recognises this" } else { "does not recognise this" };
    let mut text = format!("mapping {} {verdict}; {}\n", explained.mapping, explained.kind);
    let width = explained.lines.iter().map(|line| line.key.len()).max().unwrap_or(0);
    for line in &explained.lines {
        let found = line.found.as_deref().map_or_else(|| "nothing".into(), |found| format!("found {found}"));
        text.push_str(&format!("  {:<width$}  {}  {found}\n", line.key, line.pointer));
    }
    text.push('\n');
    text
}
