//! `alarmbus doctor`: the chain from the camera to the subscriber, each link a tick or a cross with the remedy.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::{Value, json};

use super::control::{Control, text};
use super::{Code, Failure, Global, out};

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One line of the diagnosis.
struct Line {
    /// `done`, `waiting`, `failed`, `unknown`; of findings `warning` or `error`.
    state: String,
    code: String,
    title: String,
    detail: String,
    remedy: Option<String>,
}

/// Says how the bridge is; exit code 0 when the whole chain is ticked and nothing is wrong.
pub(super) fn run(global: &Global, doctor: &Doctor) -> Result<(), Failure> {
    let control = Control::new(global)?;
    let lines = match control.get("/setup") {
        Ok(setup) => diagnose(&setup, &control.get("/findings")?),
        Err(failure) if failure.code == Code::Unavailable => vec![Line {
            state: "failed".into(),
            code: "bridge".into(),
            title: "The bridge runs".into(),
            detail: failure.message,
            remedy: Some(
                "Start it with `alarmbus`; `alarmbus check` says what keeps it from starting.".into(),
            ),
        }],
        Err(failure) => return Err(failure),
    };
    let well = lines.iter().all(|line| matches!(&*line.state, "done" | "unknown"));
    if doctor.json {
        let lines: Vec<Value> = lines.iter().map(Line::json).collect();
        out::print_json(&json!({ "ok": well, "lines": lines }))?;
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        out::print(&lines.iter().map(|line| line.told(colours)).collect::<String>())?;
    }
    if well { Ok(()) } else { Err(Failure::new(Code::No, "")) }
}

/// The chain, then what else is wrong.
fn diagnose(setup: &Value, findings: &Value) -> Vec<Line> {
    let rows =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let owned = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut lines = vec![Line {
        state: "done".into(),
        code: "bridge".into(),
        title: "The bridge runs".into(),
        detail: String::new(),
        remedy: None,
    }];
    lines.extend(rows(setup, "chain").iter().map(|tick| Line {
        state: text(tick, "state").to_owned(),
        code: text(tick, "step").to_owned(),
        title: text(tick, "title").to_owned(),
        detail: text(tick, "detail").to_owned(),
        remedy: owned(tick, "remedy"),
    }));
    let bad = |finding: &&Value| text(finding, "severity") != "info";
    lines.extend(rows(findings, "findings").iter().filter(bad).map(|finding| Line {
        state: text(finding, "severity").to_owned(),
        code: text(finding, "code").to_owned(),
        title: text(finding, "title").to_owned(),
        detail: format!("{}: {}", text(finding, "subject"), text(finding, "detail")),
        remedy: owned(finding, "remedy"),
    }));
    lines
}

impl Line {
    fn json(&self) -> Value {
        let Self { state, code, title, detail, remedy } = self;
        json!({ "state": state, "code": code, "title": title, "detail": detail, "remedy": remedy })
    }

    fn told(&self, colours: bool) -> String {
        let (mark, colour) = match &*self.state {
            "done" => ("\u{2713}", "32"),
            "unknown" => ("?", "33"),
            _ => ("\u{2717}", "31"),
        };
        let mark = if colours { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_owned() };
        let detail = if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        let remedy = self.remedy.as_ref().map(|remedy| format!("    {remedy}\n")).unwrap_or_default();
        format!("{mark} {}{detail}\n{remedy}", self.title)
    }
}
