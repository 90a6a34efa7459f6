//! Webhooks at the start: those of the configuration, else the generated one, and those of `alarmbus webhook add`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;

use super::banner::{Banner, banner, warnings};
use super::identity::InstanceIdentity;
use super::listeners::Ready;
use crate::config::mapping::read_files;
use crate::config::sinks::REFUSALS_INVISIBLE;
use crate::config::{self, Config, FixedDevice, Mistakes, Secret};
use crate::findings::Findings;
use crate::http::{IngestWebhook, Webhooks};
use crate::terminal::{Code, Failure, out};
use stored::{GENERATED, StoredWebhooks};

pub(crate) mod registry;
pub(crate) mod stored;

/// Webhooks at the start.
#[derive(Debug)]
pub(super) struct Configured {
    /// Table that the listeners look paths up in.
    pub(super) table: Webhooks,
    /// Paths, including secrets, for the ready file and the start's text.
    pub(super) paths: Vec<String>,
    generated: bool,
    /// Reason why the generated path changes at each start, if it does.
    changes: Option<String>,
}

/// Builds the webhooks.
///
/// # Errors
/// Returns all mistakes, with exit code 78.
pub(super) fn configured(
    config: &Config,
    identity: &InstanceIdentity,
    findings: &Findings,
) -> anyhow::Result<Configured> {
    let generated = config.webhooks.is_empty();
    let path = generated.then(|| identity.generated_path(findings));
    let (webhooks, paths) =
        table(&config.webhooks, path.as_deref(), &identity.webhooks(), &config.storage.path)?;
    let changes = InstanceIdentity::path_not_kept(findings);
    Ok(Configured { table: Webhooks::new(webhooks), paths, generated, changes })
}

/// Entries of the table, and their paths.
///
/// # Errors
/// Returns all mistakes, with exit code 78.
pub(super) fn table(
    configured: &[config::Webhook],
    generated: Option<&str>,
    kept: &StoredWebhooks,
    storage: &Path,
) -> anyhow::Result<(Vec<IngestWebhook>, Vec<String>)> {
    let mut entries = configured.to_vec();
    entries.extend(generated.map(|path| entry(GENERATED, path)));
    let added = added(kept, storage).map_err(Failure::from)?;
    let now = Timestamp::now();
    let valid = kept.retired.iter().filter(|retired| now < retired.until);
    let retired = valid.map(|old| {
        let settings = added.iter().find(|added| added.id.as_ref() == Some(&old.id));
        config::Webhook {
            path: Some(Secret::new(&*old.path)),
            ..settings.cloned().unwrap_or_else(|| entry(&old.id, ""))
        }
    });
    let retired: Vec<config::Webhook> = retired.collect();
    entries.extend(added.into_iter().chain(retired));
    let webhooks = IngestWebhook::all_from_config(&entries).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Code::Config, lines.join("\n"))
    })?;
    let paths =
        entries.iter().filter_map(|entry| entry.path.as_ref().map(|path| path.expose().to_owned())).collect();
    Ok((webhooks, paths))
}

/// Configuration of a webhook with this path and default settings.
fn entry(id: &str, path: &str) -> config::Webhook {
    config::Webhook { id: Some(id.into()), path: Some(Secret::new(path)), ..config::Webhook::default() }
}

/// Webhooks of `alarmbus webhook add`, with their mapping files.
///
/// # Errors
/// Returns all mistakes of all mapping files.
pub(crate) fn added(kept: &StoredWebhooks, storage: &Path) -> Result<Vec<config::Webhook>, Mistakes> {
    let (mut entries, mut mistakes) = (Vec::new(), Vec::new());
    for added in &kept.added {
        match read_files(&added.mapping, storage) {
            Ok((mappings, _)) => entries.push(config::Webhook {
                vendor: added.vendor.clone().unwrap_or_else(|| "auto".into()),
                device: FixedDevice { id: added.device.clone(), ..FixedDevice::default() },
                mapping: added.mapping.clone(),
                mappings,
                ..entry(&added.id, &added.path)
            }),
            Err(Mistakes(more)) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok(entries) } else { Err(Mistakes(mistakes)) }
}

impl Configured {
    /// Prints the values to enter in the camera. A path that the user chose is not written to a file or journal.
    ///
    /// # Errors
    /// Fails when standard output cannot be written.
    pub(super) fn print(
        &self,
        ready: &Ready,
        (http, https): (SocketAddr, Option<SocketAddr>),
        fingerprint: Option<&str>,
        simulate: &str,
        config: &Config,
    ) -> anyhow::Result<()> {
        let shown = self.generated || std::io::stdout().is_terminal();
        let Some(path) = self.paths.first().filter(|_| shown && !config.stdout.enabled) else {
            return Ok(());
        };
        let warnings = warnings(http.ip(), self.changes.as_deref());
        // The embedded broker has no access list.
        let silent = ready.mqtt.is_none() && config.mqtt.refuses_silently();
        let text = banner(&Banner {
            ready,
            http,
            secure: https.zip(fingerprint),
            path,
            base_topic: &config.mqtt.base_topic,
            simulate,
            note: silent.then_some(REFUSALS_INVISIBLE),
            warnings: &warnings,
        });
        out::print(&text).map_err(anyhow::Error::from)
    }
}
