//! `alarmbus outbox`: what waits, what is parked, and what to do with it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::control::{Control, table, text};
use super::{Code, Failure, Global, out};

/// Flags of `outbox`.
#[derive(Debug, Args)]
pub(super) struct Outbox {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how far each sink is, and what is parked
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one parked message with its alarm
    Show {
        /// Its number, as `ls` shows it
        number: i64,
    },
    /// Try parked messages again, marked as replayed
    Retry(Which),
    /// Forget parked messages
    Drop(Which),
}

/// Which parked messages.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Its number, as `ls` shows it
    number: Option<i64>,
    /// All that are parked
    #[arg(long)]
    all: bool,
}

/// Does it.
pub(super) fn run(global: &Global, outbox: &Outbox) -> Result<(), Failure> {
    let control = Control::new(global)?;
    match &outbox.verb {
        Verb::Ls { json } => list(&control, *json),
        Verb::Show { number } => show(&control, *number),
        Verb::Retry(which) => act(&control, which, "retry"),
        Verb::Drop(which) => act(&control, which, "drop"),
    }
}

fn parked(control: &Control) -> Result<Vec<Value>, Failure> {
    control.all("/parked", "parked", "before")
}

fn list(control: &Control, json: bool) -> Result<(), Failure> {
    let (mut sinks, parked) = (control.get("/sinks")?, parked(control)?);
    let sinks = sinks.get_mut("sinks").map(Value::take).unwrap_or_default();
    if json {
        return out::print_json(&json!({ "sinks": sinks, "parked": parked }));
    }
    let cell = |row: &Value, key: &str| match row.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(is)) => if *is { "yes" } else { "no" }.to_owned(),
        None | Some(Value::Null) => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    let rows = |values: &[Value], keys: &[&str]| -> Vec<Vec<String>> {
        values.iter().map(|row| keys.iter().map(|key| cell(row, key)).collect()).collect()
    };
    let keys = ["name", "connected", "backlog", "delivered", "dropped", "trouble"];
    let sinks = rows(sinks.as_array().map(Vec::as_slice).unwrap_or_default(), &keys);
    out::print(&table(&["SINK", "CONNECTED", "BACKLOG", "DELIVERED", "DROPPED", "TROUBLE"], &sinks))?;
    if parked.is_empty() {
        return out::print("\nNothing is parked.\n");
    }
    let parked = rows(&parked, &["no", "sink", "at", "topic", "reason"]);
    out::print(&format!("\n{}", table(&["PARKED", "SINK", "SINCE", "TOPIC", "REASON"], &parked)))
}

fn show(control: &Control, number: i64) -> Result<(), Failure> {
    let found = parked(control)?.into_iter().find(|row| row.get("no") == Some(&json!(number)));
    let missing =
        || Failure::new(Code::No, format!("nothing is parked under {number}: see `alarmbus outbox ls`"));
    let row = found.ok_or_else(missing)?;
    let alarm = match row.get("id") {
        // An activity's record is parked too, and is no alarm to ask for.
        Some(Value::String(id)) => control.get(&format!("/alarms/{id}")).ok(),
        _ => None,
    };
    let alarm = alarm.and_then(|alarm| alarm.get("alarm").cloned());
    out::print_json(&json!({ "parked": row, "alarm": alarm }))
}

fn act(control: &Control, which: &Which, verb: &str) -> Result<(), Failure> {
    let numbers: Vec<i64> = match which.number {
        Some(number) => vec![number],
        None => parked(control)?.iter().filter_map(|row| row.get("no").and_then(Value::as_i64)).collect(),
    };
    for number in &numbers {
        control.post(&format!("/parked/{number}/{verb}"), &json!({}))?;
    }
    if which.all {
        let what = text(&json!({"retry": "tried again", "drop": "forgotten"}), verb).to_owned();
        return out::print(&format!("{} messages {what}\n", numbers.len()));
    }
    Ok(())
}
