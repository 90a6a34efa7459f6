//! `alarmbus doctor`: the steps of the delivery check, from the camera to the subscriber, each with its state and
//! remedy.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::cli::running::control::{ControlClient, text};
use crate::cluster::doctor::{CheckState, ClusterCheck};
use crate::model::cluster::ClusterStatus;
use crate::terminal::{Code, Failure, out};
use crate::{cluster, config};

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Monitoring address of a NATS server of the cluster, like http://10.0.0.1:8222; may be given several times
    /// [default: port 8222 of each server]
    #[arg(long, value_name = "URL")]
    monitoring: Vec<String>,
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

/// Prints the diagnosis; exit code 0 if all steps are completed and there are no problems.
pub(in crate::cli) fn run(global: &Global, doctor: &DoctorArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let control = ControlClient::of(config.storage.path);
    let (mut well, mut lines) = match control.get("/setup") {
        Ok(setup) => (is_well(&setup), diagnose(&setup, &control.get("/findings")?)),
        Err(failure) if failure.code == Code::Unavailable => (
            false,
            vec![Line {
                state: "failed".into(),
                code: "bridge".into(),
                title: "The bridge runs".into(),
                detail: failure.message,
                remedy: Some(
                    "Start it with `alarmbus`; `alarmbus check` names the reason if it does not start."
                        .into(),
                ),
            }],
        ),
        Err(failure) => return Err(failure),
    };
    let config = config.cluster;
    if config.is_on() {
        let status = control.get("/cluster").ok().and_then(|status| serde_json::from_value(status).ok());
        let checks = examine(&config, &status.unwrap_or_default(), &doctor.monitoring)?;
        well &= checks.iter().all(|check| check.state != CheckState::Bad);
        // A problem that the bridge has found itself is not told twice.
        let told: Vec<String> =
            lines.iter().filter(|line| line.state != "done").map(|line| line.code.clone()).collect();
        lines.extend(checks.into_iter().map(Line::from).filter(|check| !told.contains(&check.code)));
    }
    if doctor.json {
        let lines: Vec<Value> = lines.iter().map(Line::json).collect();
        out::print_json(&json!({ "ok": well, "lines": lines }))?;
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        out::print(&lines.iter().map(|line| line.formatted(colours)).collect::<String>())?;
    }
    if well { Ok(()) } else { Err(Failure::new(Code::No, "")) }
}

/// Checks the servers and instances of the cluster.
fn examine(
    config: &config::Cluster,
    status: &ClusterStatus,
    monitoring: &[String],
) -> Result<Vec<ClusterCheck>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(cluster::doctor::examine(config, status, monitoring)))
}

impl From<ClusterCheck> for Line {
    fn from(check: ClusterCheck) -> Self {
        let state = match check.state {
            CheckState::Good => "done",
            CheckState::Bad => "failed",
            CheckState::Unknown => "unknown",
        };
        let remedy = (check.state != CheckState::Good).then(|| check.remedy.to_owned());
        Self {
            state: state.into(),
            code: check.code.into(),
            title: check.title.into(),
            detail: check.detail,
            remedy,
        }
    }
}

/// Returns whether the overall state is good, as in the header of the pages.
fn is_well(setup: &Value) -> bool {
    setup.pointer("/overall/state").and_then(Value::as_str) == Some("well")
}

/// Detail of a step after a failed one.
const NOT_REACHED: &str = "not reached yet";

/// Lines for the steps, then for other problems; each cause once.
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
    let mut blocked = false;
    for tick in rows(setup, "chain") {
        let (state, detail) = (text(&tick, "state"), text(&tick, "detail"));
        // The steps after a failed one are unknown, and its cause is not repeated.
        let (state, detail, remedy) = match state {
            "failed" | "waiting" if blocked => ("waiting", NOT_REACHED, None),
            _ if lines.iter().any(|line| line.detail.contains(detail)) => (state, "", owned(&tick, "remedy")),
            _ => (state, detail, owned(&tick, "remedy")),
        };
        blocked |= state == "failed";
        lines.push(Line {
            state: state.to_owned(),
            code: text(&tick, "step").to_owned(),
            title: text(&tick, "title").to_owned(),
            detail: detail.to_owned(),
            remedy,
        });
    }
    for finding in rows(findings, "findings").iter().filter(|finding| text(finding, "severity") != "info") {
        let detail = text(finding, "detail");
        if lines.iter().any(|line| line.detail.contains(detail)) {
            continue;
        }
        lines.push(Line {
            state: text(finding, "severity").to_owned(),
            code: text(finding, "code").to_owned(),
            title: text(finding, "title").to_owned(),
            detail: format!("{}: {detail}", text(finding, "subject")),
            remedy: owned(finding, "remedy"),
        });
    }
    lines
}

impl Line {
    fn json(&self) -> Value {
        let Self { state, code, title, detail, remedy } = self;
        json!({ "state": state, "code": code, "title": title, "detail": detail, "remedy": remedy })
    }

    fn formatted(&self, colours: bool) -> String {
        let (mark, colour) = match &*self.state {
            "done" => ("\u{2713}", "32"),
            "unknown" => ("?", "33"),
            "waiting" => ("\u{b7}", "2"),
            _ => ("\u{2717}", "31"),
        };
        let mark = if colours { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_owned() };
        let detail = if self.detail.is_empty() { String::new() } else { format!(": {}", self.detail) };
        let remedy = self.remedy.as_ref().map(|remedy| format!("    {remedy}\n")).unwrap_or_default();
        format!("{mark} {}{detail}\n{remedy}", self.title)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::diagnose;

    #[test]
    fn a_cause_is_named_once_and_what_lies_behind_it_is_not_reached() {
        let down = "nothing listens at 127.0.0.1:1: start the broker";
        let tick = |step: &str, state: &str, detail: &str, remedy: Option<&str>| json!({"step": step, "title": step, "state": state, "detail": detail, "remedy": remedy});
        let setup = json!({"chain": [
            tick("request_seen", "done", "from 127.0.0.1: understood: motion", None),
            tick("understood", "done", "understood: motion", None),
            tick("published", "failed", &format!("The broker cannot be reached: {down}"), Some("Start it.")),
            tick("acknowledged", "failed", &format!("The broker cannot be reached: {down}"), Some("Start it.")),
            tick("somebody_listens", "waiting", "nothing was acknowledged yet", Some("Subscribe.")),
        ]});
        let finding = |code: &str, detail: &str| json!({"code": code, "severity": "error", "title": code, "subject": "mqtt", "detail": detail, "remedy": "Do it."});
        let findings =
            json!({"findings": [finding("broker_unreachable", down), finding("disk", "no space")]});
        let text: String = diagnose(&setup, &findings).iter().map(|line| line.formatted(false)).collect();
        assert_eq!(
            text,
            "\u{2713} The bridge runs\n\
             \u{2713} request_seen: from 127.0.0.1: understood: motion\n\
             \u{2713} understood\n\
             \u{2717} published: The broker cannot be reached: nothing listens at 127.0.0.1:1: start the broker\n    Start it.\n\
             \u{b7} acknowledged: not reached yet\n\
             \u{b7} somebody_listens: not reached yet\n\
             \u{2717} disk: mqtt: no space\n    Do it.\n"
        );
    }
}
