//! SIGHUP: takes up what a running bridge can, and says what else needs a restart. No connection is dropped.

use std::sync::Arc;

use super::{Bridge, ServeOptions};
use crate::config;
use crate::outbox::Settings;

impl Bridge {
    /// Reads the configuration again. A mistake in it leaves everything as it is.
    pub(super) async fn reload(&mut self, options: &ServeOptions) {
        match config::load(&options.sources) {
            Ok(loaded) => self.take_up(loaded.config, options).await,
            Err(mistakes) => {
                tracing::error!("the configuration was not taken up, the old one stays:\n{mistakes}")
            }
        }
    }

    async fn take_up(&mut self, mut new: config::Config, options: &ServeOptions) {
        // The embedded broker set this; it is no change.
        if new.mqtt.server.is_none() && super::sinks::wants_embedded(&new) {
            new.mqtt.server.clone_from(&self.config.mqtt.server);
            new.mqtt.user.clone_from(&self.config.mqtt.user);
            new.mqtt.password.clone_from(&self.config.mqtt.password);
        }
        let changes = config::changes(&self.config, &new);
        if let Err(error) = self.hooks.reload(&new.webhooks) {
            tracing::error!("the configuration was not taken up, the old one stays: {error:#}");
            return;
        }
        if let Err(error) = options.log.set_level(&new.log.level) {
            tracing::error!("the log level was not changed: {error}");
        }
        self.devices.store(Arc::new(new.devices.clone()));
        self.limits.store(Arc::new(new.limits.clone()));
        self.watch_list.store(Arc::new(super::availability::watched(&new.devices)));
        let mut next = self.config.clone();
        next.devices.clone_from(&new.devices);
        next.limits.clone_from(&new.limits);
        next.webhooks.clone_from(&new.webhooks);
        next.log.level.clone_from(&new.log.level);
        if self.outbox.configure(Arc::new(Settings::new(&next))).await.is_err() {
            return;
        }
        self.config = next;
        let list =
            |keys: &[config::KeyPath]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        tracing::info!(
            "the configuration was read again; changed: {}",
            if changes.live.is_empty() { "nothing".into() } else { list(&changes.live) }
        );
        if !changes.restart.is_empty() {
            tracing::warn!("these changes need a restart: {}", list(&changes.restart));
        }
    }
}
