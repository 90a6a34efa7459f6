//! `alarmbus alarms`: lists stored alarms of the running bridge.

use clap::Args;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::control::{ControlClient, table, text};
use super::watch::plain;
use crate::cli::Global;
use crate::terminal::{Failure, out};
use crate::web::api::alarms::export::csv_lines;

/// Maximum number of alarms in one answer of the bridge.
const PAGE_SIZE: usize = 500;

/// Flags of `alarms`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AlarmsArgs {
    /// Device, by its source as in `alarmbus devices ls`
    #[arg(long, value_name = "SOURCE")]
    device: Option<String>,
    /// Kind, such as person
    #[arg(long, value_name = "KIND")]
    event: Option<String>,
    /// Maker of the device, such as hikvision
    #[arg(long)]
    maker: Option<String>,
    /// With a picture (yes), or without one (no)
    #[arg(long, value_name = "yes|no")]
    picture: Option<String>,
    /// Marked as reviewed (yes), or not (no)
    #[arg(long, value_name = "yes|no")]
    reviewed: Option<String>,
    /// Words that all occur in names, kind or details: a plate, a colour
    #[arg(long)]
    text: Option<String>,
    /// Received at or after this time: 2026-11-28, 2026-11-28T10:15, RFC 3339, or a duration before now such as 6h or
    /// 7d
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Received before this; a date alone is the end of that day
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Maximum number of alarms
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// List all alarms
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print JSON: a list of alarms as they are published
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

/// Prints alarms page by page.
pub(in crate::cli) fn run(global: &Global, alarms: &AlarmsArgs) -> Result<(), Failure> {
    let control = ControlClient::new(global)?;
    let query = alarms.query();
    let mut left = if alarms.all { usize::MAX } else { alarms.limit };
    let (mut next, mut first) = (String::new(), true);
    while 0 < left {
        let limit = left.min(PAGE_SIZE);
        let mut page = control.get(&format!("/alarms?limit={limit}&{query}{next}"))?;
        let Some(Value::Array(rows)) = page.get_mut("alarms").map(Value::take) else { break };
        if rows.is_empty() && first && !alarms.json && !alarms.csv {
            return out::print("No alarm matches. `alarmbus alarms --help` lists the filters.\n");
        }
        out::print(&alarms.form(&rows, first))?;
        first = false;
        left -= rows.len().min(left);
        match page.get("next").and_then(Value::as_i64) {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    if alarms.json { out::print(if first { "[]\n" } else { "\n]\n" }) } else { Ok(()) }
}

impl AlarmsArgs {
    /// The filter as a query string.
    fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        let values = [
            ("device", &self.device),
            ("event", &self.event),
            ("maker", &self.maker),
            ("picture", &self.picture),
            ("reviewed", &self.reviewed),
            ("text", &self.text),
            ("since", &self.since),
            ("until", &self.until),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    /// Rows in the requested format.
    fn form(&self, rows: &[Value], first: bool) -> String {
        if self.csv {
            return csv_lines(rows, first);
        }
        if self.json {
            let alarms = rows.iter().map(|row| row.get("alarm").unwrap_or(&Value::Null).to_string());
            let alarms: Vec<String> = alarms.collect();
            return format!("{}{}", if first { "[\n" } else { ",\n" }, alarms.join(",\n"));
        }
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        let heads = ["RECEIVED", "DEVICE", "EVENT", "DETAILS", "PICTURE", "ID"];
        let text = table(&heads, &cells);
        if first { text } else { text.split_once('\n').map_or(String::new(), |(_, rows)| rows.to_owned()) }
    }
}

/// An alarm as cells of a table.
fn cells(row: &Value) -> Vec<String> {
    let alarm = row.get("alarm").unwrap_or(&Value::Null);
    let device = alarm.get("device").unwrap_or(&Value::Null);
    let details = alarm.get("details").and_then(Value::as_object).cloned().unwrap_or_default();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let details: Vec<String> = details.iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
    let picture = if row.get("picture").is_some_and(Value::is_string) { "yes" } else { "no" };
    [
        text(alarm, "received_at"),
        text(device, "name"),
        text(alarm, "event"),
        &details.join(" "),
        picture,
        text(alarm, "id"),
    ]
    .map(plain)
    .to_vec()
}
