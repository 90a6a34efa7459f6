//! The webhooks of a running bridge, as they are changed while it runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::identity::Identity;
use super::kept::{GENERATED, KeptWebhooks};
use super::listeners::Ready;
use super::webhooks;
use crate::config;
use crate::findings::Findings;
use crate::http::Webhooks;
use crate::web::WebhookInfo;

/// The webhooks of a running bridge.
#[derive(Debug)]
pub(super) struct Hooks {
    identity: Arc<Identity>,
    findings: Findings,
    table: Webhooks,
    storage: PathBuf,
    state: Mutex<State>,
}

/// What they are put together from.
#[derive(Debug)]
struct State {
    configured: Vec<config::Webhook>,
    ready: Option<Ready>,
}

impl Hooks {
    /// Watches over a table that was filled from this configuration.
    pub(super) fn new(
        config: &config::Config,
        identity: &Arc<Identity>,
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

    /// Where the listeners are, for the file that others find the bridge by.
    pub(super) fn announced(&self, ready: Ready) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ready = Some(ready);
    }

    /// Takes the webhooks of a configuration that was read again.
    ///
    /// # Errors
    /// With all mistakes in them; then nothing is changed.
    pub(super) fn reload(&self, configured: &[config::Webhook]) -> anyhow::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.fill(configured, &mut state.ready, &self.identity.webhooks())?;
        state.configured = configured.to_vec();
        Ok(())
    }

    /// Lets go of old paths whose time is over.
    pub(super) fn expire(&self) {
        let mut kept = self.identity.webhooks();
        let before = kept.retired.len();
        let now = Timestamp::now();
        kept.retired.retain(|retired| now < retired.until);
        if kept.retired.len() != before
            && let Err(error) = self.keep(&kept)
        {
            tracing::warn!("an old path of a webhook could not be let go of: {error}");
        }
    }

    /// Whether a request asks for the path of one of them.
    pub(super) fn knows(&self, uri: &axum::http::Uri) -> bool {
        self.table.has(uri)
    }

    /// All that are answered now.
    pub(super) fn list(&self) -> Vec<WebhookInfo> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        listed(&state.configured, &self.identity.webhooks())
    }

    /// Adds one.
    ///
    /// # Errors
    /// With the reason.
    pub(super) fn add(&self, id: &str) -> Result<WebhookInfo, String> {
        let taken: Vec<String> = self.list().into_iter().map(|webhook| webhook.id).collect();
        self.change(|kept| kept.add(id, &taken).map(|added| added.path), id)
    }

    /// Gives one a new path.
    ///
    /// # Errors
    /// With the reason.
    pub(super) fn rotate(&self, id: &str, overlap_seconds: u64) -> Result<WebhookInfo, String> {
        self.change(|kept| kept.rotate(id, overlap_seconds, Timestamp::now()).map(|new| new.path), id)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut KeptWebhooks) -> Result<String, String>,
        id: &str,
    ) -> Result<WebhookInfo, String> {
        let mut kept = self.identity.webhooks();
        let path = change(&mut kept)?;
        self.keep(&kept)?;
        let origin = if id == GENERATED { "generated" } else { "added" };
        tracing::info!(webhook.id = id, "a webhook has a new path");
        Ok(WebhookInfo { id: id.to_owned(), path, origin: origin.to_owned(), until: None })
    }

    /// Writes them and takes them up.
    fn keep(&self, kept: &KeptWebhooks) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { configured, ready } = &mut *state;
        self.identity.keep_webhooks(kept).map_err(|error| format!("it cannot be kept: {error}"))?;
        self.fill(configured, ready, kept).map_err(|error| format!("{error:#}"))
    }

    fn fill(
        &self,
        configured: &[config::Webhook],
        ready: &mut Option<Ready>,
        kept: &KeptWebhooks,
    ) -> anyhow::Result<()> {
        let generated = configured.is_empty().then(|| self.identity.generated_path(&self.findings));
        let (webhooks, paths) = webhooks::table(configured, generated.as_deref(), kept)?;
        self.table.replace(webhooks);
        if let Some(ready) = ready {
            ready.webhooks = ready
                .ingest
                .iter()
                .flat_map(|base| paths.iter().map(move |path| format!("{base}{path}")))
                .collect();
            ready.announce(None, &self.storage)?;
        }
        Ok(())
    }
}

/// All that are answered: of the configuration, generated, added, retired.
pub(crate) fn listed(configured: &[config::Webhook], kept: &KeptWebhooks) -> Vec<WebhookInfo> {
    let info = |id: &str, path: &str, origin: &str, until| WebhookInfo {
        id: id.to_owned(),
        path: path.to_owned(),
        origin: origin.to_owned(),
        until,
    };
    let named = |(at, webhook): (usize, &config::Webhook)| {
        let id = webhook.id.clone().unwrap_or_else(|| format!("webhook-{}", at + 1));
        webhook.path.as_ref().map(|path| info(&id, path.expose(), "configuration", None))
    };
    let mut all: Vec<WebhookInfo> = configured.iter().enumerate().filter_map(named).collect();
    if configured.is_empty() {
        all.extend(kept.generated.as_deref().map(|path| info(GENERATED, path, "generated", None)));
    }
    all.extend(kept.added.iter().map(|added| info(&added.id, &added.path, "added", None)));
    let now = Timestamp::now();
    let valid = kept.retired.iter().filter(|retired| now < retired.until);
    all.extend(valid.map(|old| info(&old.id, &old.path, "retired", Some(old.until))));
    all
}
