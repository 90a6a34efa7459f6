//! The webhooks of a run: those of the configuration, else the generated one, and those of `alarmbus webhook add`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;

use jiff::Timestamp;

use super::banner::banner;
use super::identity::Identity;
use super::kept::{GENERATED, KeptWebhooks};
use super::listeners::Ready;
use crate::cli::{Code, Failure, out};
use crate::config::{self, Config, Secret};
use crate::findings::Findings;
use crate::http::{Webhook, Webhooks};

/// The webhooks of a run.
#[derive(Debug)]
pub(super) struct Configured {
    /// The table the listeners look paths up in.
    pub(super) table: Webhooks,
    /// Their paths, secrets included: for the ready file and the start's print.
    pub(super) paths: Vec<String>,
    generated: bool,
}

/// Puts them together.
///
/// # Errors
/// All mistakes, with exit code 78.
pub(super) fn configured(
    config: &Config,
    identity: &Identity,
    findings: &Findings,
) -> anyhow::Result<Configured> {
    let generated = config.webhooks.is_empty();
    let path = generated.then(|| identity.generated_path(findings));
    let (webhooks, paths) = table(&config.webhooks, path.as_deref(), &identity.webhooks())?;
    Ok(Configured { table: Webhooks::new(webhooks), paths, generated })
}

/// The entries and their paths.
///
/// # Errors
/// All mistakes, with exit code 78.
pub(super) fn table(
    configured: &[config::Webhook],
    generated: Option<&str>,
    kept: &KeptWebhooks,
) -> anyhow::Result<(Vec<Webhook>, Vec<String>)> {
    let entry = |id: &str, path: &str| config::Webhook {
        id: Some(id.into()),
        path: Some(Secret::new(path)),
        ..config::Webhook::default()
    };
    let mut entries = configured.to_vec();
    entries.extend(generated.map(|path| entry(GENERATED, path)));
    entries.extend(kept.added.iter().map(|added| entry(&added.id, &added.path)));
    let now = Timestamp::now();
    let valid = kept.retired.iter().filter(|retired| now < retired.until);
    entries.extend(valid.map(|old| entry(&old.id, &old.path)));
    let webhooks = Webhook::all_from_config(&entries).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Code::Config, lines.join("\n"))
    })?;
    let paths =
        entries.iter().filter_map(|entry| entry.path.as_ref().map(|path| path.expose().to_owned())).collect();
    Ok((webhooks, paths))
}

impl Configured {
    /// Prints what to type into the camera. A path that the user chose is not repeated into a file or journal.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(super) fn print(
        &self,
        ready: &Ready,
        (http, https): (SocketAddr, Option<SocketAddr>),
        fingerprint: Option<&str>,
        config: &Config,
    ) -> anyhow::Result<()> {
        let shown = self.generated || std::io::stdout().is_terminal();
        let Some(path) = self.paths.first().filter(|_| shown && !config.stdout.enabled) else {
            return Ok(());
        };
        let secure = https.zip(fingerprint);
        out::print(&banner(ready, http, secure, path, &config.mqtt.base_topic)).map_err(anyhow::Error::from)
    }
}
