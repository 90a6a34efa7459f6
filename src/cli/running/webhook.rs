//! `alarmbus webhook`: lists and adds webhooks, and rotates secrets. Works on the running bridge, or on the storage
//! folder while none runs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::control::{ControlClient, segment, table, text};
use crate::app::identity::InstanceIdentity;
use crate::app::webhooks::registry::listed;
use crate::app::webhooks::stored::StoredWebhooks;
use crate::cli::Global;
use crate::config::Config;
use crate::config::mapping::read_files;
use crate::findings::Findings;
use crate::terminal::{Code, Failure, out};
use crate::web::NewWebhook;

/// Flags of `webhook`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WebhookArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// Verbs of the command.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List all webhooks with their secret paths
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a webhook with a new secret path
    Add {
        /// Name of the webhook: a-z, 0-9, _ and -
        name: String,
        /// Maker of its devices; detected per report by default
        #[arg(long, value_name = "MAKER")]
        vendor: Option<String>,
        /// Device that all its reports belong to, for devices that do not identify themselves
        #[arg(long, value_name = "ID")]
        device: Option<String>,
        /// Mapping file for unknown devices; can be repeated
        #[arg(long, value_name = "FILE")]
        mapping: Vec<PathBuf>,
    },
    /// Give a webhook a new secret path; the old one stays valid for a while
    Rotate {
        /// Name of the webhook, as in `ls`; the generated one is `default`
        name: String,
        /// Seconds for which the old path stays valid
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
        overlap: u64,
    },
}

/// Runs the verb.
pub(in crate::cli) fn run(global: &Global, webhook: &WebhookArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let control = ControlClient::of(config.storage.path.clone());
    let running = control.is_running();
    match &webhook.verb {
        Verb::Ls { json } => {
            let all = if running { control.get("/webhooks")? } else { json!({"webhooks": offline(&config)}) };
            list(all.get("webhooks").unwrap_or(&Value::Null), *json)
        }
        Verb::Add { name, vendor, device, mapping } => {
            let new = NewWebhook {
                id: name.clone(),
                vendor: vendor.clone(),
                device: device.clone(),
                mapping: mapping.iter().map(|path| absolute(path)).collect(),
            };
            if running {
                return show(&control.post("/webhooks", &json!(new))?);
            }
            read_files(mapping, Path::new(""))?;
            let taken: Vec<String> =
                config.webhooks.iter().filter_map(|webhook| webhook.id.clone()).collect();
            change(&config, |kept| kept.add(&new, &taken).map(|added| added.path))
        }
        Verb::Rotate { name, overlap } if running => {
            let path = format!("/webhooks/{}/rotate", segment(name));
            show(&control.post(&path, &json!({ "overlap_seconds": overlap }))?)
        }
        Verb::Rotate { name, overlap } => {
            change(&config, |kept| kept.rotate(name, *overlap, Timestamp::now()).map(|new| new.path))
        }
    }
}

/// The webhooks of the storage folder and the configuration.
fn offline(config: &Config) -> Value {
    let kept = InstanceIdentity::open(&config.storage.path, &Findings::default()).webhooks();
    serde_json::to_value(listed(&config.webhooks, &kept)).unwrap_or_default()
}

/// Changes the stored webhooks while no bridge runs.
fn change(
    config: &Config,
    change: impl FnOnce(&mut StoredWebhooks) -> Result<String, String>,
) -> Result<(), Failure> {
    let identity = InstanceIdentity::open(&config.storage.path, &Findings::default());
    let mut kept = identity.webhooks();
    let path = change(&mut kept).map_err(|reason| Failure::new(Code::No, reason))?;
    identity.keep_webhooks(&kept)?;
    show(&json!({ "path": path }))
}

/// Makes a path absolute.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

fn show(webhook: &Value) -> Result<(), Failure> {
    out::print(&format!("{}\n", text(webhook, "path")))
}

fn list(webhooks: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return out::print_json(webhooks);
    }
    let row = |webhook: &Value| {
        let mapping = webhook.get("mapping").and_then(Value::as_array).into_iter().flatten();
        let mapping = mapping.filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let [id, path, vendor, device, origin, until] =
            ["id", "path", "vendor", "device", "origin", "until"].map(|key| text(webhook, key).to_owned());
        vec![id, path, vendor, device, mapping, origin, until]
    };
    let rows: Vec<Vec<String>> = webhooks.as_array().into_iter().flatten().map(row).collect();
    out::print(&table(&["NAME", "PATH", "MAKER", "DEVICE", "MAPPING", "ORIGIN", "VALID UNTIL"], &rows))
}
