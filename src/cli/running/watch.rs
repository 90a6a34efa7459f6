//! `alarmbus watch`: one line for each alarm as it arrives.

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use serde_json::Value;

use super::control::{ControlClient, text};
use crate::cli::Global;
use crate::terminal::{Code, Failure, out};

/// Flags of `watch`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WatchArgs {
    /// Print each alarm as a line of JSON, as it is published
    #[arg(long)]
    json: bool,
    /// Exit after this number of alarms
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Follows the event stream until it ends.
pub(in crate::cli) fn run(global: &Global, watch: &WatchArgs) -> Result<(), Failure> {
    let colours = !watch.json && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut left = watch.count.unwrap_or(u64::MAX);
    let mut event = String::new();
    for line in ControlClient::new(global)?.events()?.lines() {
        let line = line?;
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut event);
        }
        let Some(data) = line.strip_prefix("data: ").filter(|_| event == "alarm") else { continue };
        let row: Value = serde_json::from_str(data).unwrap_or_default();
        let alarm = row.get("alarm").unwrap_or(&Value::Null);
        out::print(&if watch.json { format!("{alarm}\n") } else { alarm_line(alarm, colours) })?;
        left -= 1;
        if left == 0 {
            return Ok(());
        }
    }
    Err(Failure::new(Code::Unavailable, "the bridge stopped: start it again, and `alarmbus watch` too"))
}

/// An alarm as one line.
fn alarm_line(alarm: &Value, colours: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    };
    let device = alarm.get("device").unwrap_or(&Value::Null);
    let phase = text(alarm, "phase");
    let strong = if phase == "update" { "2" } else { "1;33" };
    let mut line = format!(
        "{}  {}  {}  {phase}",
        paint("2", text(alarm, "received_at")),
        paint("36", &plain(text(device, "name"))),
        paint(strong, text(alarm, "event")),
    );
    if let Some(count) = alarm.get("count").and_then(Value::as_u64) {
        line.push_str(&format!("  {count}x"));
    }
    if let Some(snapshot) = alarm.get("snapshot").filter(|snapshot| snapshot.is_object()) {
        let side = |key: &str| snapshot.get(key).map(ToString::to_string).unwrap_or_default();
        let picture = match snapshot.get("problem").and_then(Value::as_str) {
            Some(problem) => format!("no picture ({problem})"),
            None => format!("{}x{}", side("width"), side("height")),
        };
        line.push_str(&format!("  {picture}"));
    }
    line.push_str(&format!("  {}\n", paint("2", text(alarm, "id"))));
    line
}

/// A name from the network without control characters.
pub(in crate::cli) fn plain(name: &str) -> String {
    name.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect()
}
