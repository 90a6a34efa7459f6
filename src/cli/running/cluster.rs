//! `alarmbus cluster`: shows the cluster as the running instance sees it, prints the permissions it needs, changes the
//! number of partitions, and waits until an instance can go on alone.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::control::{ControlClient, table, text};
use crate::cli::Global;
use crate::cluster;
use crate::terminal::{Code, Failure, out};

/// Flags of `cluster`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Cluster {
    #[command(subcommand)]
    verb: Verb,
}

/// Subcommand.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Show instances, partitions and streams
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what the NATS account of the cluster must be allowed
    Permissions,
    /// Change the number of partitions, while all instances are stopped and every report is decided
    Repartition {
        /// The new number
        partitions: u64,
    },
    /// Wait until this instance, the last one that runs, has published everything and can go on without the cluster
    Leave,
}

/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Does it.
pub(in crate::cli) fn run(global: &Global, command: &Cluster) -> Result<(), Failure> {
    match &command.verb {
        Verb::Status { json } => status(&ControlClient::new(global)?, *json),
        Verb::Permissions => out::print(&cluster::permissions(&global.load()?.config.cluster)),
        Verb::Repartition { partitions } => repartition(global, *partitions),
        Verb::Leave => leave(&ControlClient::new(global)?),
    }
}

fn repartition(global: &Global, partitions: u64) -> Result<(), Failure> {
    let config = global.load()?.config.cluster;
    if !config.is_on() {
        return Err(Failure::new(Code::Config, "cluster.servers is empty: there is no cluster to change"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(cluster::repartition(&config, partitions));
    done.map_err(|reason| Failure::new(Code::No, reason))?;
    out::print(&format!("Set cluster.partitions = {partitions} at all instances, then start them.\n"))
}

fn rows<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn number(row: &Value, key: &str) -> u64 {
    row.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// The cluster; a failure where the instance is alone.
fn asked(control: &ControlClient) -> Result<Value, Failure> {
    let status = control.get("/cluster")?;
    if text(&status, "instance").is_empty() {
        let reason = "there is no cluster: cluster.servers is empty, so this instance is alone";
        return Err(Failure::new(Code::No, reason));
    }
    Ok(status)
}

fn status(control: &ControlClient, json: bool) -> Result<(), Failure> {
    let status = asked(control)?;
    if json {
        return out::print_json(&status);
    }
    let connected = status.get("connected") == Some(&Value::Bool(true));
    let server = if connected { text(&status, "server_version") } else { "not connected" };
    let head = format!(
        "instance {}, nats-server {server}, spool {}, oldest {} s\n\n",
        text(&status, "instance"),
        number(&status, "spool"),
        number(&status, "spool_oldest_seconds")
    );
    let member = |row: &Value| {
        let owned: Vec<String> = rows(row, "owned").map(ToString::to_string).collect();
        let findings: Vec<&str> = rows(row, "findings").filter_map(Value::as_str).collect();
        let cells = ["name", "version", "address"].map(|key| text(row, key).to_owned());
        let more = [owned.join(","), number(row, "spool").to_string(), findings.join(",")];
        cells.into_iter().chain(more).collect::<Vec<String>>()
    };
    let partition = |row: &Value| {
        let positions = row.get("positions").map(ToString::to_string).unwrap_or_default();
        let counts = ["in_waiting", "log_behind"].map(|key| number(row, key).to_string());
        [number(row, "k").to_string(), text(row, "owner").to_owned()]
            .into_iter()
            .chain(counts)
            .chain([positions])
            .collect::<Vec<String>>()
    };
    let stream = |row: &Value| {
        let counts = ["messages", "bytes", "replicas"].map(|key| number(row, key).to_string());
        let cells = [text(row, "name").to_owned()].into_iter().chain(counts);
        cells
            .chain([text(row, "leader").to_owned(), text(row, "trouble").to_owned()])
            .collect::<Vec<String>>()
    };
    let list = |key, row: &dyn Fn(&Value) -> Vec<String>| rows(&status, key).map(row).collect::<Vec<_>>();
    let members = ["INSTANCE", "VERSION", "ADDRESS", "OWNS", "SPOOL", "PROBLEMS"];
    let partitions = ["PARTITION", "OWNER", "WAITING", "BEHIND", "POSITIONS"];
    let streams = ["STREAM", "MESSAGES", "BYTES", "REPLICAS", "LEADER", "TROUBLE"];
    out::print(&head)?;
    out::print(&table(&members, &list("members", &member)))?;
    out::print(&format!("\n{}", table(&partitions, &list("partitions", &partition))))?;
    out::print(&format!("\n{}", table(&streams, &list("streams", &stream))))
}

/// Returns what is still to be done before an instance can go on alone.
fn left(control: &ControlClient) -> Result<Option<String>, Failure> {
    let status = asked(control)?;
    let others =
        rows(&status, "members").filter(|row| text(row, "name") != text(&status, "instance")).count();
    let waiting: u64 = rows(&status, "partitions").map(|row| number(row, "in_waiting")).sum();
    let behind: u64 = rows(&status, "partitions").map(|row| number(row, "log_behind")).sum();
    let sinks = control.get("/sinks")?;
    let backlog: u64 = rows(&sinks, "sinks").map(|row| number(row, "backlog")).sum();
    let all = [
        (u64::try_from(others).unwrap_or(0), "other instances run: stop them"),
        (number(&status, "spool"), "reports wait for the cluster"),
        (waiting, "reports wait for a decision"),
        (behind, "decisions are not taken over yet"),
        (backlog, "alarms wait for a broker"),
    ];
    let first = all.into_iter().find(|(count, _)| 0 < *count);
    Ok(first.map(|(count, what)| format!("{count} {what}")))
}

fn leave(control: &ControlClient) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut said = String::new();
    while let Some(what) = left(control)? {
        if what != said {
            out::print(&format!("{what}\n"))?;
            said = what;
        }
        runtime.block_on(async { tokio::time::sleep(LOOK).await });
    }
    out::print(
        "Everything is published. Stop this instance, remove [cluster] from its configuration, and start it.\n",
    )
}
