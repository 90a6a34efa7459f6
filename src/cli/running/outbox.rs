//! `alarmbus outbox`: backlog, parked messages, rewind and recovery.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use super::control::{ControlClient, table, text};
use crate::cli::Global;
use crate::terminal::{Code, Failure, out};

/// Flags of `outbox`.
#[derive(Debug, Args)]
pub(in crate::cli) struct OutboxArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of the command.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the position of each sink, and parked messages
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a parked message with its alarm
    Show {
        /// Number of the message, as in `ls`
        number: i64,
    },
    /// Send parked messages again, marked as replayed
    Retry(Which),
    /// Delete parked messages
    Drop(Which),
    /// Send everything since a moment to a sink again, with the same ids
    Rewind {
        /// The sink: mqtt, nats, notify, stdout
        sink: String,
        /// Start: a moment (2026-10-05T16:00:00Z) or a duration before now (2h, 3d)
        #[arg(long)]
        since: String,
    },
    /// Deliver alarms from a damaged database file
    Recover {
        /// The file, outbox.db.corrupt-…, in the storage folder or by its path
        file: PathBuf,
    },
}

/// Selection of parked messages.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Number of the message, as in `ls`
    number: Option<i64>,
    /// All parked messages
    #[arg(long)]
    all: bool,
}

/// Runs the verb.
pub(in crate::cli) fn run(global: &Global, outbox: &OutboxArgs) -> Result<(), Failure> {
    let control = ControlClient::new(global)?;
    match &outbox.verb {
        Verb::Ls { json } => list(&control, *json),
        Verb::Show { number } => show(&control, *number),
        Verb::Retry(which) => send_verb(&control, which, "retry"),
        Verb::Drop(which) => send_verb(&control, which, "drop"),
        Verb::Rewind { sink, since } => rewind(&control, sink, since),
        Verb::Recover { file } => recover(&control, global, file),
    }
}

fn parked(control: &ControlClient) -> Result<Vec<Value>, Failure> {
    control.all("/parked", "parked", "before")
}

fn list(control: &ControlClient, json: bool) -> Result<(), Failure> {
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

fn show(control: &ControlClient, number: i64) -> Result<(), Failure> {
    let found = parked(control)?.into_iter().find(|row| row.get("no") == Some(&json!(number)));
    let missing =
        || Failure::new(Code::No, format!("nothing is parked under {number}: see `alarmbus outbox ls`"));
    let row = found.ok_or_else(missing)?;
    let alarm = match row.get("id") {
        // The record of an activity can be parked too; it is not an alarm of the API.
        Some(Value::String(id)) => control.get(&format!("/alarms/{id}")).ok(),
        _ => None,
    };
    let alarm = alarm.and_then(|alarm| alarm.get("alarm").cloned());
    out::print_json(&json!({ "parked": row, "alarm": alarm }))
}

fn send_verb(control: &ControlClient, which: &Which, verb: &str) -> Result<(), Failure> {
    let rows = parked(control)?;
    let number = |row: &Value| row.get("no").and_then(Value::as_i64);
    let numbers: Vec<i64> = match which.number {
        Some(number) => vec![number],
        None => rows.iter().filter_map(number).collect(),
    };
    for number in &numbers {
        control.post(&format!("/parked/{number}/{verb}"), &json!({}))?;
    }
    let sinks = rows.iter().filter(|row| number(row).is_some_and(|number| numbers.contains(&number)));
    let sinks: BTreeSet<&str> = sinks.map(|row| text(row, "sink")).collect();
    let sinks = sinks.into_iter().collect::<Vec<_>>().join(", ");
    let count = if numbers.len() == 1 { "1 message".into() } else { format!("{} messages", numbers.len()) };
    out::print(&match verb {
        _ if numbers.is_empty() => "Nothing is parked.\n".into(),
        "retry" => {
            format!("{count} sent to {sinks} again; `alarmbus outbox ls` lists what is refused again\n")
        }
        _ => format!("{count} for {sinks} deleted; the alarms stay in history\n"),
    })
}

fn rewind(control: &ControlClient, sink: &str, since: &str) -> Result<(), Failure> {
    let since = moment(since)?;
    let answer = control.post(&format!("/sinks/{sink}/rewind"), &json!({ "since": since.to_string() }))?;
    let entries = answer.get("entries").and_then(Value::as_u64).unwrap_or(0);
    out::print(&format!("{sink} was rewound to {since}: {entries} entries of the log are sent again\n"))
}

/// Parses a moment, or a duration before now.
fn moment(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let wrong = || {
        let message = format!(
            "--since {text}: write a moment (2026-10-05T16:00:00Z) or a duration before now (2h, 3d)"
        );
        Failure::new(Code::Usage, message)
    };
    let span: Span = text.parse().map_err(|_| wrong())?;
    let hours =
        span.total((jiff::Unit::Hour, jiff::SpanRelativeTo::days_are_24_hours())).map_err(|_| wrong())?;
    Timestamp::now().checked_sub(jiff::SignedDuration::from_secs_f64(hours * 3_600.0)).map_err(|_| wrong())
}

fn recover(control: &ControlClient, global: &Global, file: &Path) -> Result<(), Failure> {
    let beside = global.load()?.config.storage.path.join(file);
    let path = [file, &beside].into_iter().find_map(|path| path.canonicalize().ok());
    let missing = || Failure::new(Code::No, format!("there is no file {}", file.display()));
    let path = path.ok_or_else(missing)?;
    let answer = control.post("/outbox/recover", &json!({ "file": path.display().to_string() }))?;
    let count = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    out::print(&format!(
        "{} undelivered entries were found: {} are delivered now, {} were known already; {} could not be read\n",
        count("undelivered"),
        count("committed"),
        count("known"),
        count("unreadable"),
    ))
}
