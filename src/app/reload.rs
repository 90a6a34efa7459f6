//! Reload on SIGHUP: applies the settings that can change at run time and reports those that need a restart. No
//! connection is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::health::systemd;
use super::{Bridge, ServeOptions};
use crate::config::{self, Config, KeyPath, Loaded, Mistakes, Running};
use crate::findings::FindingCode;
use crate::outbox::WriterSettings;

/// Code and subject of the finding about a refused reload.
const REFUSED: (FindingCode, &str) = (FindingCode::ReloadRefused, "configuration");
/// Maximum number of mistakes named in that finding.
const NAMED: usize = 3;

impl Bridge {
    /// Reads the configuration again. A mistake in it leaves everything unchanged.
    pub(super) async fn reload(&mut self, options: &ServeOptions) {
        systemd::reloading();
        match config::reload(&options.sources, &self.running) {
            Ok(loaded) => self.apply(loaded, options).await,
            Err(mistakes) => self.refuse(&first_mistakes(&mistakes)),
        }
        systemd::reloaded();
    }

    /// Reports that nothing was applied.
    fn refuse(&self, why: &str) {
        let detail = format!("the configuration was not reloaded, alarmbus keeps the old one: {why}");
        self.findings.raise_by_hand(REFUSED.0, REFUSED.1, &detail);
    }

    async fn apply(&mut self, loaded: Loaded, options: &ServeOptions) {
        let running = Running::from(&loaded);
        let mut new = loaded.config;
        // The embedded broker set this value at the start, so it is not a change.
        if new.mqtt.server.is_none() && super::sinks::wants_embedded(&new) {
            new.mqtt.server.clone_from(&self.config.mqtt.server);
            new.mqtt.user.clone_from(&self.config.mqtt.user);
            new.mqtt.password.clone_from(&self.config.mqtt.password);
        }
        if let Some(cluster) = &self.cluster {
            // In a cluster the name is that of the member, and not in topics: the running configuration is without it.
            new.instance = new.instance.filter(|name| *name != cluster.view().name());
        }
        let before = self.paths();
        if let Err(error) = self.webhook_registry.reload(&new.webhooks) {
            self.refuse(&format!("{error:#}"));
            return;
        }
        if let Err(error) = options.log.set_level(&new.log.level) {
            tracing::error!("the log level was not changed: {error}");
        }
        self.devices.store(Arc::new(new.devices.clone()));
        self.limits.store(Arc::new(new.limits.clone()));
        self.watch_list.store(Arc::new(super::health::availability::watched(&new.devices)));
        self.certificates.reload(&new);
        let changes = config::changes(&self.config, &new);
        let next = merged(&self.config, &new);
        let settings = Arc::new(WriterSettings::new(&next));
        if self.outbox.configure(Arc::clone(&settings)).await.is_err() {
            return;
        }
        if let Some(cluster) = &self.cluster {
            cluster.configure(settings);
        }
        self.in_force.replace(next.clone(), loaded.origins);
        (self.config, self.running) = (next, running);
        self.findings.settle(REFUSED.0, REFUSED.1);
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        log_dropped(&before, &self.paths());
        tracing::info!("the configuration was read again; changed: {}", list(&changes.live));
        if !changes.restart.is_empty() {
            tracing::warn!("these changes need a restart: {}", list(&changes.restart));
        }
    }

    /// Path of each active webhook, by id.
    fn paths(&self) -> BTreeMap<String, String> {
        self.webhook_registry.list().into_iter().rev().map(|webhook| (webhook.id, webhook.path)).collect()
    }
}

/// Running configuration with the settings of a new one that can change at run time.
fn merged(running: &Config, new: &Config) -> Config {
    let mut next = running.clone();
    next.devices.clone_from(&new.devices);
    next.limits.clone_from(&new.limits);
    next.webhooks.clone_from(&new.webhooks);
    next.log.level.clone_from(&new.log.level);
    next.admin.cert.clone_from(&new.admin.cert);
    next.admin.key.clone_from(&new.admin.key);
    if let (Some(next), Some(new)) = (&mut next.https, &new.https) {
        next.cert.clone_from(&new.cert);
        next.key.clone_from(&new.key);
    }
    next
}

/// Logs the webhooks whose old path is no longer accepted: a camera that still uses it is refused.
fn log_dropped(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (id, path) in before {
        match after.get(id) {
            Some(new) if new == path => {}
            Some(_) => tracing::warn!(
                webhook.id = id,
                "the webhook {id} has another path now; cameras that use the old one are refused"
            ),
            None if after.values().any(|other| other == path) => {}
            None => tracing::warn!(
                webhook.id = id,
                "the webhook {id} was removed; cameras that use its path are refused"
            ),
        }
    }
}

/// Formats keys on one line.
fn list(keys: &[KeyPath]) -> String {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    if keys.is_empty() { "nothing".into() } else { keys.join(", ") }
}

/// Formats the first few mistakes on one line.
fn first_mistakes(mistakes: &Mistakes) -> String {
    let mut lines: Vec<String> = mistakes.0.iter().take(NAMED).map(ToString::to_string).collect();
    if NAMED < mistakes.0.len() {
        lines.push(format!("and {} more mistakes", mistakes.0.len() - NAMED));
    }
    lines.join("; ")
}
