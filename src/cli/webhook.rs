//! `alarmbus webhook`: lists, adds, and gives new secrets. Works on the running bridge, or on the folder while none
//! runs.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::control::{Control, segment, table, text};
use super::{Code, Failure, Global, out};
use crate::app::hooks::listed;
use crate::app::identity::Identity;
use crate::app::kept::KeptWebhooks;
use crate::config::Config;
use crate::findings::Findings;

/// Flags of `webhook`.
#[derive(Debug, Args)]
pub(super) struct Webhook {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// List all webhooks with their secret paths
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a webhook with a new secret path
    Add {
        /// Its name: a-z, 0-9, _ and -
        name: String,
    },
    /// Give a webhook a new secret path; the old one stays valid for a while
    Rotate {
        /// Its name, as `ls` shows it; that of the generated one is `default`
        name: String,
        /// So many seconds the old path stays valid
        #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
        overlap: u64,
    },
}

/// Does it.
pub(super) fn run(global: &Global, webhook: &Webhook) -> Result<(), Failure> {
    let config = global.load()?.config;
    let control = Control::of(config.storage.path.clone());
    let running = control.is_running();
    match &webhook.verb {
        Verb::Ls { json } => {
            let all = if running { control.get("/webhooks")? } else { json!({"webhooks": offline(&config)}) };
            list(all.get("webhooks").unwrap_or(&Value::Null), *json)
        }
        Verb::Add { name } if running => show(&control.post("/webhooks", &json!({ "id": name }))?),
        Verb::Add { name } => {
            let taken: Vec<String> =
                config.webhooks.iter().filter_map(|webhook| webhook.id.clone()).collect();
            change(&config, |kept| kept.add(name, &taken).map(|added| added.path))
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

/// The webhooks as the folder and the configuration have them.
fn offline(config: &Config) -> Value {
    let kept = Identity::open(&config.storage.path, &Findings::default()).webhooks();
    serde_json::to_value(listed(&config.webhooks, &kept)).unwrap_or_default()
}

/// Changes what the folder keeps, while no bridge runs with it.
fn change(
    config: &Config,
    change: impl FnOnce(&mut KeptWebhooks) -> Result<String, String>,
) -> Result<(), Failure> {
    let identity = Identity::open(&config.storage.path, &Findings::default());
    let mut kept = identity.webhooks();
    let path = change(&mut kept).map_err(|reason| Failure::new(Code::No, reason))?;
    identity.keep_webhooks(&kept)?;
    show(&json!({ "path": path }))
}

fn show(webhook: &Value) -> Result<(), Failure> {
    out::print(&format!("{}\n", text(webhook, "path")))
}

fn list(webhooks: &Value, json: bool) -> Result<(), Failure> {
    if json {
        return out::print_json(webhooks);
    }
    let row =
        |webhook: &Value| ["id", "path", "origin", "until"].map(|key| text(webhook, key).to_owned()).to_vec();
    let rows: Vec<Vec<String>> = webhooks.as_array().into_iter().flatten().map(row).collect();
    out::print(&table(&["NAME", "PATH", "ORIGIN", "VALID UNTIL"], &rows))
}
