//! `alarmbus devices`: lists devices of the running bridge and changes them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::control::{ControlClient, table, text};
use crate::cli::Global;
use crate::terminal::{Failure, out};
use crate::web::api::devices::MAX_SECONDS;

/// Flags of `devices`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DevicesArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of the command.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List all devices
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a device another name; an empty name restores the camera's own
    Rename {
        /// The device: its source, as `ls` shows it
        source: String,
        /// The new name
        name: String,
    },
    /// Mute a device or one kind of alarm: delivered and marked, but no event in Home Assistant
    Mute {
        /// The device
        source: String,
        /// The kind, such as motion; without it, every kind
        event: Option<String>,
        /// Duration: 90s, 15m, 8h, 7d; without it, until it is unmuted
        #[arg(long = "for", value_name = "TIME", value_parser = span)]
        span: Option<u64>,
    },
    /// Lift the mute of one kind, or all of a device
    Unmute {
        /// The device
        source: String,
        /// The kind
        event: Option<String>,
    },
    /// Set a device's states to OFF: all, or one kind
    Clear {
        /// The device
        source: String,
        /// The kind, such as tamper
        event: Option<String>,
    },
    /// Delete a device and its retained topics
    Remove {
        /// The device
        source: String,
    },
}

/// Runs the verb.
pub(in crate::cli) fn run(global: &Global, devices: &DevicesArgs) -> Result<(), Failure> {
    let control = ControlClient::new(global)?;
    let act = |source: &str, verb: &str, body: &Value| {
        let source = super::control::segment(source);
        control.post(&format!("/devices/{source}/{verb}"), body).map(drop)
    };
    match &devices.verb {
        Verb::Ls { json } => list(&control, *json),
        Verb::Rename { source, name } => act(source, "rename", &json!({ "name": name })),
        Verb::Mute { source, event, span } => {
            act(source, "mute", &json!({ "event": event, "seconds": span }))
        }
        Verb::Unmute { source, event } => act(source, "unmute", &json!({ "event": event })),
        Verb::Clear { source, event } => act(source, "clear", &json!({ "event": event })),
        Verb::Remove { source } => act(source, "remove", &json!({})),
    }
}

/// Parses a duration such as `15m` into seconds.
fn span(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, sign)) if sign.is_ascii_alphabetic() => (text.get(..at).unwrap_or_default(), sign),
        _ => (text, 's'),
    };
    let factor = match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    };
    let seconds =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    seconds
        .filter(|seconds| (1..=MAX_SECONDS).contains(seconds))
        .ok_or_else(|| "write a number and s, m, h or d, such as 15m or 8h; 365d at most".into())
}

fn list(control: &ControlClient, json: bool) -> Result<(), Failure> {
    let devices = control.all("/devices", "devices", "after")?;
    if json {
        return out::print_json(&Value::Array(devices));
    }
    if devices.is_empty() {
        return out::print(
            "No device has sent an alarm yet. `alarmbus doctor` shows the state of the delivery check.\n",
        );
    }
    let row = |device: &Value| {
        let kinds = device.get("kinds").and_then(Value::as_array).cloned().unwrap_or_default();
        let on: Vec<&str> = kinds
            .iter()
            .filter(|kind| kind.get("on") == Some(&Value::Bool(true)))
            .map(|kind| text(kind, "event"))
            .collect();
        let alarms = device.get("alarms").map(ToString::to_string).unwrap_or_default();
        let cells = ["source", "name", "ip", "last_heard"].map(|key| text(device, key).to_owned());
        cells.into_iter().chain([alarms, on.join(",")]).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> = devices.iter().map(row).collect();
    out::print(&table(&["SOURCE", "NAME", "ADDRESS", "LAST HEARD", "ALARMS", "ON"], &rows))
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_length_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("90", Some(90)), ("15m", Some(900)), ("8h", Some(28_800)), ("7d", Some(604_800))]
        {
            assert_eq!(span(text).ok(), seconds, "{text}");
        }
        for text in ["", "0s", "m", "5x", "366d", "-1h", "99999999999999999999d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
