//! Webhooks: paths that cameras push to, with settings for the devices behind each.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::config::ingest::Pointers;
use crate::config::mapping::Mapping;
use crate::config::{self, FixedDevice};
use crate::decode::Hints;
use crate::model::mask::SecretSet;
use crate::model::time::clock::ZoneSetting;
use secret::{Difference, RequestedPath, SecretPath};

pub(super) mod fixed;
pub(super) mod secret;

/// Path that cameras push to, with its settings.
#[derive(Debug, Clone)]
pub struct IngestWebhook {
    /// Id in log, page and capture.
    pub id: String,
    /// Path; it is never shown.
    pub path: SecretPath,
    /// `auto`, or the name of a vendor.
    pub vendor: String,
    /// Time zone of its devices, if it is set.
    pub zone: Option<ZoneSetting>,
    /// Networks that may push; empty: any.
    pub allow: Vec<IpNet>,
    /// Mapping files of this webhook.
    pub mappings: Vec<Arc<Mapping>>,
    /// Device that all its alarms are assigned to.
    pub device: FixedDevice,
    /// JSON pointers for vendor `generic`.
    pub pointers: Pointers,
    /// Set if the path is a manufacturer's fixed one: every path below it is accepted, and it is not secret.
    pub(super) fixed: Option<&'static str>,
}

/// Error in a `[[webhooks]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Neither `path` nor `path_file` sets a path.
    #[error("webhook {0} has no path: set `path` (or `path_file`) to something like /alarm/<secret>")]
    NoPath(String),
    /// Its `timezone` is invalid.
    #[error("webhook {0}: {1}")]
    Zone(String, String),
    /// Two entries have the same path in normal form.
    #[error("webhooks {0} and {1} have the same path: give each its own secret")]
    SamePath(String, String),
}

impl IngestWebhook {
    /// Converts all entries of the configuration.
    ///
    /// # Errors
    /// Returns every mistake, not only the first.
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

    /// Converts an entry of the configuration (its `path_file` was read into `path`); `number` counts from 1 and names
    /// an entry without `id`.
    ///
    /// # Errors
    /// Fails when it has no path, or its time zone is invalid.
    pub fn from_config(entry: &config::Webhook, number: usize) -> Result<Self, WebhookError> {
        let id = entry.id.clone().unwrap_or_else(|| format!("webhook-{number}"));
        let Some(path) = &entry.path else { return Err(WebhookError::NoPath(id)) };
        let zone = match entry.timezone.as_deref().map(ZoneSetting::parse).transpose() {
            Ok(zone) => zone,
            Err(error) => return Err(WebhookError::Zone(id, error.to_string())),
        };
        Ok(Self {
            path: SecretPath::new(path.expose()),
            fixed: fixed::folder(path.expose()),
            vendor: entry.vendor.clone(),
            zone,
            allow: entry.allow.clone(),
            mappings: entry.mappings.clone(),
            device: entry.device.clone(),
            pointers: entry.pointers.clone(),
            id,
        })
    }

    /// Returns whether a peer may push here.
    #[must_use]
    pub fn allows(&self, peer: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&peer))
    }

    /// Returns whether one of its mappings recognises reports by this header.
    pub(super) fn reads_header(&self, name: &str) -> bool {
        let pointers = self.mappings.iter().flat_map(|mapping| &mapping.recognise);
        let pointers = pointers.flat_map(|shape| shape.has.iter().chain(&*shape.any).chain(shape.is.keys()));
        let mut headers = pointers.filter_map(|pointer| pointer.strip_prefix("/@headers/"));
        headers.any(|header| header.eq_ignore_ascii_case(name))
    }

    /// Fields that are secret according to its mappings.
    pub(super) fn secret_fields(&self) -> Vec<String> {
        self.mappings.iter().flat_map(|mapping| &mapping.secret).cloned().collect()
    }

    /// Hints for the decoders.
    pub(super) fn hints(&self, alarms_per_report: usize) -> Hints {
        Hints {
            vendor: self.vendor.clone(),
            mappings: self.mappings.clone(),
            device: self.device.clone(),
            pointers: self.pointers.clone(),
            alarms_per_report,
            ..Hints::default()
        }
    }
}

/// Length in bytes below which a secret also occurs in unrelated texts.
const SHORT: usize = 6;
/// Length in bytes below which a secret may be an ordinary word in a report (`/alarm/camera`).
const WORD: usize = 16;

/// Table of webhooks; cheap to clone, and replaced as a whole on reload.
#[derive(Debug, Clone, Default)]
pub struct Webhooks {
    table: Arc<ArcSwap<Table>>,
}

/// Webhooks, and the search patterns of their secret paths.
#[derive(Debug)]
struct Table {
    all: Vec<Arc<IngestWebhook>>,
    /// Patterns for headers, which are short.
    in_headers: SecretSet,
    /// Patterns for texts that are shown or logged.
    in_texts: SecretSet,
    /// Patterns for reports, before they are decoded.
    in_reports: SecretSet,
}

impl Table {
    fn new(webhooks: Vec<IngestWebhook>) -> Self {
        let secret = || webhooks.iter().filter(|webhook| webhook.fixed.is_none());
        let secrets = |least: usize| SecretSet::new(secret().map(|webhook| webhook.path.secret(least)));
        let hidden = secret().filter(|webhook| !webhook.path.is_word());
        Self {
            in_headers: secrets(1),
            in_texts: secrets(SHORT),
            in_reports: SecretSet::new(hidden.map(|webhook| webhook.path.secret(WORD))),
            all: webhooks.into_iter().map(Arc::new).collect(),
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Webhooks {
    /// Creates a table.
    #[must_use]
    pub fn new(webhooks: Vec<IngestWebhook>) -> Self {
        let table = Self::default();
        table.replace(webhooks);
        table
    }

    /// Replaces the table; requests that were looked up before keep their webhook.
    pub fn replace(&self, webhooks: Vec<IngestWebhook>) {
        self.table.store(Arc::new(Table::new(webhooks)));
    }

    /// Current webhooks.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<IngestWebhook>> {
        self.table.load().all.clone()
    }

    /// Finds the webhook of a path. Every entry is compared, so that the time does not reveal which one matched.
    pub(super) fn find(&self, requested: &RequestedPath) -> Option<Arc<IngestWebhook>> {
        let table = self.table.load();
        let mut found = None;
        for webhook in &table.all {
            if bool::from(webhook.path.is(requested)) {
                found = Some(webhook);
            }
        }
        let below =
            |webhook: &&Arc<IngestWebhook>| webhook.fixed.is_some_and(|folder| requested.below(folder));
        found.or_else(|| table.all.iter().find(below)).map(Arc::clone)
    }

    /// Returns whether a request asks for one of them, in any spelling.
    #[must_use]
    pub fn has(&self, uri: &axum::http::Uri) -> bool {
        self.find(&RequestedPath::of(uri)).is_some()
    }

    /// Difference between a wrong path and the most similar right one, as text. The webhook is named only if the path
    /// can mean no other; with a wrong secret part it may mean any.
    pub(super) fn how_wrong(&self, requested: &RequestedPath) -> String {
        let table = self.table.load();
        let differences = || table.all.iter().map(|webhook| (webhook, webhook.path.difference(requested)));
        let least = differences().map(|(_, difference)| difference).max().unwrap_or(Difference::Other);
        let mut nearest = differences().filter(|(_, difference)| *difference == least);
        match (least, nearest.next(), nearest.next()) {
            (Difference::CaseOnly | Difference::CutShort | Difference::Longer, Some((webhook, _)), None) => {
                format!("{} (webhook {})", least.text(), webhook.id)
            }
            _ => least.text().to_owned(),
        }
    }

    /// Wrong path for the log: masked if it is similar to a right one or may contain a secret.
    pub(super) fn shown(&self, requested: &RequestedPath) -> String {
        let table = self.table.load();
        let near = |webhook: &Arc<IngestWebhook>| webhook.path.difference(requested) != Difference::Other;
        if table.all.iter().any(near) {
            return "/***".into();
        }
        requested.shown(|segment| table.all.iter().any(|webhook| webhook.path.resembles(segment)))
    }

    /// Masks the secret part of every webhook in a report, in any spelling, before it is decoded: a device that repeats
    /// its own URL must not send the secret to the broker.
    pub(super) fn mask_report(&self, body: &mut [u8]) {
        self.table.load().in_reports.mask(body);
    }

    /// A part of a request without the secret part of every webhook, as [`Self::mask_report`] leaves a body.
    pub(super) fn without_path(&self, text: &str) -> String {
        self.table.load().in_reports.masked(text)
    }

    /// Masks the secrets in bytes that are shown.
    pub(super) fn mask_capture(&self, body: &mut [u8]) {
        self.table.load().in_texts.mask(body);
    }

    /// Masks the secrets in a text that is shown or logged.
    pub(super) fn masked(&self, text: &str) -> String {
        self.table.load().in_texts.masked(text)
    }

    /// Returns whether the value of a header holds it.
    pub(super) fn leaks_in(&self, header: &[u8]) -> bool {
        self.table.load().in_headers.are_in(header)
    }
}

#[cfg(test)]
mod tests {
    use super::secret::RequestedPath;
    use super::{IngestWebhook, WebhookError, Webhooks};
    use crate::config::{self, Secret};

    fn entry(path: &str) -> config::Webhook {
        config::Webhook { path: Some(Secret::new(path)), ..config::Webhook::default() }
    }

    #[test]
    fn the_table_is_exchanged_as_a_whole() {
        let table = Webhooks::new(vec![IngestWebhook::from_config(&entry("/alarm/one"), 1).unwrap()]);
        let one = RequestedPath::of(&axum::http::Uri::from_static("/alarm/one"));
        assert_eq!(table.find(&one).unwrap().id, "webhook-1");
        table.replace(vec![IngestWebhook::from_config(&entry("/alarm/two"), 1).unwrap()]);
        assert!(table.find(&one).is_none());
    }

    #[test]
    fn a_wrong_path_names_only_a_webhook_that_it_can_mean() {
        let paths = ["/alarm/0123456789abcdef", "/alarm/fedcba9876543210"];
        let named = |(at, path): (usize, &&str)| IngestWebhook::from_config(&entry(path), at + 1).unwrap();
        let table = Webhooks::new(paths.iter().enumerate().map(named).collect());
        let told =
            |path: &'static str| table.how_wrong(&RequestedPath::of(&axum::http::Uri::from_static(path)));
        assert_eq!(
            told("/alarm/0123456789abcdee"),
            "the first part of the path is right, its secret part is not"
        );
        assert!(told("/alarm/0123456789ABCDEF").ends_with("only (webhook webhook-1)"));
        assert!(told("/alarm/fedcba98").ends_with("missing (webhook webhook-2)"));
        assert_eq!(told("/other"), "the path is not one of the configured ones");
    }

    #[test]
    fn mistakes_name_the_webhook() {
        let error = IngestWebhook::from_config(&config::Webhook::default(), 3).unwrap_err();
        assert_eq!(error, WebhookError::NoPath("webhook-3".into()));
        let zone = config::Webhook { timezone: Some("Mars".into()), ..entry("/a") };
        assert!(IngestWebhook::from_config(&zone, 1).unwrap_err().to_string().contains("Mars"));
    }

    #[test]
    fn all_mistakes_are_told_and_a_path_is_used_once() {
        let entries = [entry("/alarm/a"), entry("alarm//a/"), config::Webhook::default()];
        let errors = IngestWebhook::all_from_config(&entries).unwrap_err();
        let same = WebhookError::SamePath("webhook-1".into(), "webhook-2".into());
        assert_eq!(errors, [same, WebhookError::NoPath("webhook-3".into())]);
        assert_eq!(IngestWebhook::all_from_config(&entries[..1]).unwrap().len(), 1);
    }

    #[test]
    fn a_word_in_a_report_is_not_taken_for_the_secret() {
        let webhooks = |path: &str| Webhooks::new(vec![IngestWebhook::from_config(&entry(path), 1).unwrap()]);
        let masked = |path: &str, report: &str| {
            let mut report = report.as_bytes().to_vec();
            webhooks(path).mask_report(&mut report);
            String::from_utf8(report).unwrap()
        };
        let report = r#"{"camera":"1","to":"http://h/alarm/camera","or":"\/alarm\/camera"}"#;
        let expected = r#"{"camera":"1","to":"http://h*************","or":"***************"}"#;
        assert_eq!(masked("/alarm/camera", report), expected);
        let long = "0123456789abcdef0123456789abcdef";
        assert_eq!(masked(&format!("/alarm/{long}"), &format!("x{long}y")), format!("x{}y", "*".repeat(32)));
        assert_eq!(webhooks("/alarm/Abc123").masked("at http://h/alarm/Abc123"), "at http://h/alarm/******");
    }

    #[test]
    fn an_allow_list_is_a_list_of_networks() {
        let mut only = entry("/a");
        only.allow = vec!["192.168.0.0/16".parse().unwrap()];
        let only = IngestWebhook::from_config(&only, 1).unwrap();
        assert!(only.allows("192.168.3.4".parse().unwrap()) && !only.allows("10.0.0.1".parse().unwrap()));
    }
}
