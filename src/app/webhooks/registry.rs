//! Webhooks of a running bridge, which can change at run time.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::stored::{GENERATED, StoredWebhooks};
use crate::app::identity::InstanceIdentity;
use crate::app::listeners::Ready;
use crate::app::webhooks;
use crate::config;
use crate::config::mapping::read_files;
use crate::findings::Findings;
use crate::http::Webhooks;
use crate::web::{NewWebhook, WebhookInfo, WebhookOrigin};

/// Webhooks of a running bridge.
#[derive(Debug)]
pub(in crate::app) struct WebhookRegistry {
    identity: Arc<InstanceIdentity>,
    findings: Findings,
    table: Webhooks,
    storage: PathBuf,
    state: Mutex<State>,
}

/// Inputs of the webhook table that can change.
#[derive(Debug)]
struct State {
    configured: Vec<config::Webhook>,
    ready: Option<Ready>,
}

impl WebhookRegistry {
    /// Creates a registry for a table that was filled from this configuration.
    pub(in crate::app) fn new(
        config: &config::Config,
        identity: &Arc<InstanceIdentity>,
        findings: &Findings,
        table: Webhooks,
    ) -> Self {
        Self {
            identity: Arc::clone(identity),
            findings: findings.clone(),
            table,
            storage: config.storage.path.clone(),
            state: Mutex::new(State { configured: config.webhooks.clone(), ready: None }),
        }
    }

    /// Stores the listener addresses, for the file that other commands read.
    pub(in crate::app) fn announced(&self, ready: Ready) {
        self.state.lock().ready = Some(ready);
    }

    /// Applies the webhooks of a reloaded configuration.
    ///
    /// # Errors
    /// Returns all mistakes in them; then nothing is changed.
    pub(in crate::app) fn reload(&self, configured: &[config::Webhook]) -> anyhow::Result<()> {
        let mut state = self.state.lock();
        self.fill(configured, &mut state.ready, &self.identity.webhooks())?;
        state.configured = configured.to_vec();
        Ok(())
    }

    /// Removes retired paths that have expired.
    pub(in crate::app) fn expire(&self) {
        let mut kept = self.identity.webhooks();
        let before = kept.retired.len();
        let now = Timestamp::now();
        kept.retired.retain(|retired| now < retired.until);
        if kept.retired.len() != before
            && let Err(error) = self.store(&kept)
        {
            tracing::warn!("an expired path of a webhook could not be removed: {error}");
        }
    }

    /// Returns whether a request asks for the path of one of them.
    pub(in crate::app) fn knows(&self, uri: &axum::http::Uri) -> bool {
        self.table.has(uri)
    }

    /// Lists all accepted webhooks.
    pub(in crate::app) fn list(&self) -> Vec<WebhookInfo> {
        let state = self.state.lock();
        listed(&state.configured, &self.identity.webhooks())
    }

    /// Adds a webhook.
    ///
    /// # Errors
    /// Returns the reason as text.
    pub(in crate::app) fn add(&self, new: &NewWebhook) -> Result<WebhookInfo, String> {
        let taken: Vec<String> = self.list().into_iter().map(|webhook| webhook.id).collect();
        read_files(&new.mapping.iter().map(PathBuf::from).collect::<Vec<_>>(), &self.storage)
            .map_err(|mistakes| mistakes.to_string())?;
        self.change(|kept| kept.add(new, &taken).map(|added| added.path), &new.id)
    }

    /// Gives a webhook a new path.
    ///
    /// # Errors
    /// Returns the reason as text.
    pub(in crate::app) fn rotate(&self, id: &str, overlap_seconds: u64) -> Result<WebhookInfo, String> {
        self.change(|kept| kept.rotate(id, overlap_seconds, Timestamp::now()).map(|new| new.path), id)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut StoredWebhooks) -> Result<String, String>,
        id: &str,
    ) -> Result<WebhookInfo, String> {
        let mut kept = self.identity.webhooks();
        let path = change(&mut kept)?;
        self.store(&kept)?;
        tracing::info!(webhook.id = id, "a webhook has a new path");
        let found = self.list().into_iter().find(|webhook| webhook.path == path);
        Ok(found.unwrap_or_else(|| info(id, &path, WebhookOrigin::Added, None)))
    }

    /// Stores the webhooks and updates the table.
    fn store(&self, kept: &StoredWebhooks) -> Result<(), String> {
        let mut state = self.state.lock();
        let State { configured, ready } = &mut *state;
        self.identity.keep_webhooks(kept).map_err(|error| format!("it cannot be stored: {error}"))?;
        self.fill(configured, ready, kept).map_err(|error| format!("{error:#}"))
    }

    fn fill(
        &self,
        configured: &[config::Webhook],
        ready: &mut Option<Ready>,
        kept: &StoredWebhooks,
    ) -> anyhow::Result<()> {
        let generated = configured.is_empty().then(|| self.identity.generated_path(&self.findings));
        let (webhooks, paths) = webhooks::table(configured, generated.as_deref(), kept, &self.storage)?;
        self.table.replace(webhooks);
        if let Some(ready) = ready {
            ready.webhooks = ready
                .ingest
                .iter()
                .flat_map(|base| paths.iter().map(move |path| format!("{base}{path}")))
                .collect();
            if let Err(error) = ready.announce(None, &self.storage) {
                tracing::warn!("commands will not find the new paths of the webhooks: {error:#}");
            }
        }
        Ok(())
    }
}

/// A webhook without settings of its own.
fn info(id: &str, path: &str, origin: WebhookOrigin, until: Option<Timestamp>) -> WebhookInfo {
    WebhookInfo {
        id: id.to_owned(),
        path: path.to_owned(),
        origin,
        vendor: "auto".into(),
        device: None,
        mapping: Vec::new(),
        until,
    }
}

/// Paths as text.
fn shown(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

/// Lists all accepted webhooks: configured, generated, added, retired.
pub(crate) fn listed(configured: &[config::Webhook], kept: &StoredWebhooks) -> Vec<WebhookInfo> {
    let named = |(at, webhook): (usize, &config::Webhook)| {
        let id = webhook.id.clone().unwrap_or_else(|| format!("webhook-{}", at + 1));
        let device = &webhook.device;
        webhook.path.as_ref().map(|path| WebhookInfo {
            vendor: webhook.vendor.clone(),
            device: device
                .id
                .clone()
                .or_else(|| Some(device.mac?.to_string()))
                .or_else(|| device.name.clone()),
            mapping: shown(&webhook.mapping),
            ..info(&id, path.expose(), WebhookOrigin::Configuration, None)
        })
    };
    let mut all: Vec<WebhookInfo> = configured.iter().enumerate().filter_map(named).collect();
    if configured.is_empty() {
        all.extend(
            kept.generated.as_deref().map(|path| info(GENERATED, path, WebhookOrigin::Generated, None)),
        );
    }
    all.extend(kept.added.iter().map(|added| WebhookInfo {
        vendor: added.vendor.clone().unwrap_or_else(|| "auto".into()),
        device: added.device.clone(),
        mapping: shown(&added.mapping),
        ..info(&added.id, &added.path, WebhookOrigin::Added, None)
    }));
    let now = Timestamp::now();
    let valid = kept.retired.iter().filter(|retired| now < retired.until);
    all.extend(valid.map(|old| info(&old.id, &old.path, WebhookOrigin::Retired, Some(old.until))));
    all
}
