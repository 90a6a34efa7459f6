//! Webhooks: the paths cameras push to, and what is known of the devices behind each.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::secret::{Difference, RequestedPath, SecretPath};
use crate::config;
use crate::config::ingest::Pointers;
use crate::model::clock::ZoneSetting;
use crate::vendor::Hints;

/// One path cameras push to.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its name in log, page and capture.
    pub id: String,
    /// The path, never shown.
    pub path: SecretPath,
    /// `auto`, or the name of a vendor.
    pub vendor: String,
    /// The zone of the devices behind it, where it has one.
    pub zone: Option<ZoneSetting>,
    /// Networks that may push; empty: any.
    pub allow: Vec<IpNet>,
    /// Where vendor `generic` finds things.
    pub pointers: Pointers,
}

/// A `[[webhooks]]` entry that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Neither `path` nor `path_file` gave one.
    #[error("webhook {0} has no path: set `path` (or `path_file`) to something like /alarm/<secret>")]
    NoPath(String),
    /// Its `timezone` is none.
    #[error("webhook {0}: {1}")]
    Zone(String, String),
    /// Two have the same path (however it is spelled).
    #[error("webhooks {0} and {1} have the same path: give each its own secret")]
    SamePath(String, String),
}

impl Webhook {
    /// Takes all entries of the configuration.
    ///
    /// # Errors
    /// With every mistake in them, not only the first.
    pub fn all_from_config(entries: &[config::Webhook]) -> Result<Vec<Self>, Vec<WebhookError>> {
        let (mut all, mut errors): (Vec<Self>, Vec<WebhookError>) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            match Self::from_config(entry, index + 1) {
                Ok(webhook) => match all.iter().find(|other| other.path.same(&webhook.path)) {
                    Some(other) => errors.push(WebhookError::SamePath(other.id.clone(), webhook.id)),
                    None => all.push(webhook),
                },
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(all) } else { Err(errors) }
    }

    /// Takes an entry of the configuration (its `path_file` already read into `path`); `number` counts from 1 and
    /// names an entry that has no `id`.
    ///
    /// # Errors
    /// When it has no path, or its time zone is none.
    pub fn from_config(entry: &config::Webhook, number: usize) -> Result<Self, WebhookError> {
        let id = entry.id.clone().unwrap_or_else(|| format!("webhook-{number}"));
        let Some(path) = &entry.path else { return Err(WebhookError::NoPath(id)) };
        let zone = match entry.timezone.as_deref().map(ZoneSetting::parse).transpose() {
            Ok(zone) => zone,
            Err(error) => return Err(WebhookError::Zone(id, error.to_string())),
        };
        Ok(Self {
            path: SecretPath::new(path.expose()),
            vendor: entry.vendor.clone(),
            zone,
            allow: entry.allow.clone(),
            pointers: entry.pointers.clone(),
            id,
        })
    }

    /// Whether a peer may push here.
    #[must_use]
    pub fn allows(&self, peer: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&peer))
    }

    /// What the decoders need to know.
    pub(super) fn hints(&self, alarms_per_report: usize) -> Hints {
        Hints { vendor: self.vendor.clone(), pointers: self.pointers.clone(), alarms_per_report }
    }
}

/// The table of webhooks: a cheap handle, exchanged as a whole on reload.
#[derive(Debug, Clone, Default)]
pub struct Webhooks {
    table: Arc<ArcSwap<Vec<Arc<Webhook>>>>,
}

impl Webhooks {
    /// A table of these.
    #[must_use]
    pub fn new(webhooks: Vec<Webhook>) -> Self {
        let table = Self::default();
        table.replace(webhooks);
        table
    }

    /// Exchanges the table; requests that were looked up before keep their webhook.
    pub fn replace(&self, webhooks: Vec<Webhook>) {
        self.table.store(Arc::new(webhooks.into_iter().map(Arc::new).collect()));
    }

    /// The webhooks as they are now.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Webhook>> {
        self.table.load().to_vec()
    }

    /// The webhook of a path. Every entry is compared, so that the time does not tell which one matched.
    pub(super) fn find(&self, requested: &RequestedPath) -> Option<Arc<Webhook>> {
        let table = self.table.load();
        let mut found = None;
        for webhook in table.iter() {
            if bool::from(webhook.path.is(requested)) {
                found = Some(webhook);
            }
        }
        found.map(Arc::clone)
    }

    /// Whether a request asks for one of them, in any spelling.
    #[must_use]
    pub fn has(&self, uri: &axum::http::Uri) -> bool {
        self.find(&RequestedPath::of(uri)).is_some()
    }

    /// How a wrong path differs from the right one it is nearest to, in plain words.
    pub(super) fn nearest(&self, requested: &RequestedPath) -> String {
        let table = self.table.load();
        let nearest = table.iter().max_by_key(|webhook| webhook.path.difference(requested));
        match nearest.map(|webhook| (webhook, webhook.path.difference(requested))) {
            None => Difference::Other.text().to_owned(),
            Some((_, Difference::Other)) if table.len() > 1 => Difference::Other.text().to_owned(),
            Some((webhook, difference)) => {
                format!(
                    "{} (nearest: {} of webhook {})",
                    difference.text(),
                    webhook.path.masked(),
                    webhook.id
                )
            }
        }
    }

    /// A wrong path for the log: masked where it is near a right one, or may hold somebody's secret.
    pub(super) fn shown(&self, requested: &RequestedPath) -> String {
        let table = self.table.load();
        let near = |webhook: &Arc<Webhook>| webhook.path.difference(requested) != Difference::Other;
        if table.iter().any(near) {
            return "/***".into();
        }
        requested.shown(|segment| table.iter().any(|webhook| webhook.path.resembles(segment)))
    }

    /// A body without the secret part of any webhook.
    pub(super) fn masked(&self, body: bytes::Bytes) -> bytes::Bytes {
        let table = self.table.load();
        table.iter().fold(body, |body, webhook| webhook.path.masked_in(body))
    }

    /// Whether a text holds the secret part of any webhook.
    pub(super) fn leaks_in(&self, text: &[u8]) -> bool {
        self.table.load().iter().any(|webhook| webhook.path.leaks_in(text))
    }
}

#[cfg(test)]
mod tests {
    use super::{Webhook, WebhookError, Webhooks};
    use crate::config::{self, Secret};
    use crate::http::secret::RequestedPath;

    fn entry(path: &str) -> config::Webhook {
        config::Webhook { path: Some(Secret::new(path)), ..config::Webhook::default() }
    }

    #[test]
    fn the_table_is_exchanged_as_a_whole() {
        let table = Webhooks::new(vec![Webhook::from_config(&entry("/alarm/one"), 1).unwrap()]);
        let one = RequestedPath::of(&axum::http::Uri::from_static("/alarm/one"));
        assert_eq!(table.find(&one).unwrap().id, "webhook-1");
        table.replace(vec![Webhook::from_config(&entry("/alarm/two"), 1).unwrap()]);
        assert!(table.find(&one).is_none());
    }

    #[test]
    fn mistakes_name_the_webhook() {
        let error = Webhook::from_config(&config::Webhook::default(), 3).unwrap_err();
        assert_eq!(error, WebhookError::NoPath("webhook-3".into()));
        let zone = config::Webhook { timezone: Some("Mars".into()), ..entry("/a") };
        assert!(Webhook::from_config(&zone, 1).unwrap_err().to_string().contains("Mars"));
    }

    #[test]
    fn all_mistakes_are_told_and_a_path_is_used_once() {
        let entries = [entry("/alarm/a"), entry("alarm//a/"), config::Webhook::default()];
        let errors = Webhook::all_from_config(&entries).unwrap_err();
        let same = WebhookError::SamePath("webhook-1".into(), "webhook-2".into());
        assert_eq!(errors, [same, WebhookError::NoPath("webhook-3".into())]);
        assert_eq!(Webhook::all_from_config(&entries[..1]).unwrap().len(), 1);
    }

    #[test]
    fn an_allow_list_is_a_list_of_networks() {
        let mut only = entry("/a");
        only.allow = vec!["192.168.0.0/16".parse().unwrap()];
        let only = Webhook::from_config(&only, 1).unwrap();
        assert!(only.allows("192.168.3.4".parse().unwrap()) && !only.allows("10.0.0.1".parse().unwrap()));
    }
}
