//! `alarmbus devices`: lists devices of the running bridge and changes them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::control::{Control, table, text};
use super::{Failure, Global, out};

/// Flags of `devices`.
#[derive(Debug, Args)]
pub(super) struct Devices {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List all devices
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a device another name; an empty one takes the given name back
    Rename {
        /// The device: its source, as `ls` shows it
        source: String,
        /// The name
        name: String,
    },
    /// End what goes on at a device: everything, or one kind
    Clear {
        /// The device
        source: String,
        /// The kind, such as tamper
        event: Option<String>,
    },
    /// Forget a device; its retained topics are emptied
    Remove {
        /// The device
        source: String,
    },
}

/// Does it.
pub(super) fn run(global: &Global, devices: &Devices) -> Result<(), Failure> {
    let control = Control::new(global)?;
    let act = |source: &str, verb: &str, body: &Value| {
        let source = super::control::segment(source);
        control.post(&format!("/devices/{source}/{verb}"), body).map(drop)
    };
    match &devices.verb {
        Verb::Ls { json } => list(&control, *json),
        Verb::Rename { source, name } => act(source, "rename", &json!({ "name": name })),
        Verb::Clear { source, event } => act(source, "clear", &json!({ "event": event })),
        Verb::Remove { source } => act(source, "remove", &json!({})),
    }
}

fn list(control: &Control, json: bool) -> Result<(), Failure> {
    let devices = control.all("/devices", "devices", "after")?;
    if json {
        return out::print_json(&Value::Array(devices));
    }
    if devices.is_empty() {
        return out::print("No device was heard yet. `alarmbus doctor` says how far it is.\n");
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
