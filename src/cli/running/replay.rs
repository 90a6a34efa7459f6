//! `alarmbus replay`: sends an alarm again.

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::control::{ControlClient, text};
use crate::cli::Global;
use crate::terminal::{Code, Failure, out};

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArgs {
    /// Ids of the alarms, as in `id` of events or in the address of an alarm's page; they are sent in this order
    #[arg(required = true, value_parser = alarm_id)]
    ids: Vec<Uuid>,
}

/// Parses the id of an alarm.
fn alarm_id(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text.trim()).map_err(|_| {
        "an alarm's id has 32 hex digits, such as 0199e2b4-5d3a-7cc0-8f3e-2a1b9c4d5e6f; `alarmbus watch --json` and the \
         page of the alarm show it"
            .into()
    })
}

/// Has each sent again, with the same id and marked as replayed.
pub(in crate::cli) fn run(global: &Global, replay: &ReplayArgs) -> Result<(), Failure> {
    let control = ControlClient::new(global)?;
    for id in &replay.ids {
        control.post(&format!("/alarms/{id}/replay"), &json!({})).map_err(|failure| absent(id, failure))?;
    }
    out::print(&summary(replay.ids.len(), &control.get("/sinks").unwrap_or_default()))
}

/// Sentence about the alarms that are sent again, and where they go.
fn summary(alarms: usize, sinks: &Value) -> String {
    let sinks = sinks.get("sinks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = sinks.iter().map(|sink| text(sink, "name")).collect();
    let (alarms, are) =
        if alarms == 1 { ("1 alarm".into(), "is") } else { (format!("{alarms} alarms"), "are") };
    let chosen = if names.contains(&"notify") { "; notify sends only what [notify] selects" } else { "" };
    format!("{alarms} {are} sent again to {}, marked as replayed{chosen}\n", names.join(", "))
}

/// Explains the bridge's refusal of an unknown id.
fn absent(id: &Uuid, failure: Failure) -> Failure {
    match failure.code {
        Code::No => Failure::new(
            Code::No,
            format!(
                "this bridge has no alarm {id}: check the id; alarms older than the history (storage.history_days, \
                 storage.history_max_bytes) are deleted"
            ),
        ),
        _ => failure,
    }
}
