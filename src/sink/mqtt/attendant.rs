//! The background of a session: its subscriptions, and the verdict on the broker's retained store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::inbox::Inbox;
use super::link::{Client, Filter};
use super::{SharedWatch, lock};
use crate::render::{Message, Part};
use crate::sink::{Notice, Retained};

/// After the SUBACK, how long the retained token is waited for before the probe is sent.
const BEFORE_PROBE: Duration = Duration::from_secs(3);
/// And then, until it counts as absent.
const AFTER_PROBE: Duration = Duration::from_secs(2);

/// Subscribes at the start of a session and waits for the token.
pub(super) struct Attendant {
    pub(super) client: Client,
    pub(super) window: Arc<Semaphore>,
    pub(super) watch: SharedWatch,
    pub(super) inbox: Inbox,
    pub(super) token_topic: String,
    pub(super) probe: String,
}

impl Attendant {
    /// Subscribes to the token, if it is waited for, and to `others`.
    pub(super) async fn run(self, others: Vec<Filter>) {
        let asks = lock(&self.watch).undecided();
        let mut filters = others;
        if asks {
            // Not "no-local": the probe must come back.
            filters.insert(0, Filter { path: self.token_topic.clone(), no_local: false, stored: true });
        }
        if filters.is_empty() {
            return;
        }
        let Some(granted) = self.client.subscribe(&filters).await else { return };
        let mut readable = asks;
        for (filter, granted) in filters.iter().zip(granted) {
            let Err(words) = granted else { continue };
            let token = filter.path == self.token_topic;
            readable &= !token;
            self.problem(
                if token { "retained_unreadable" } else { "subscription_refused" },
                &filter.path,
                &words,
            );
        }
        if readable {
            self.verdict().await;
        } else if lock(&self.watch).decide().is_some() {
            self.inbox.push(Notice::Retained(Retained::Unreadable));
        }
    }

    /// Waits for the token; if none comes, probes whether it could have come.
    async fn verdict(&self) {
        sleep(BEFORE_PROBE).await;
        if lock(&self.watch).undecided() {
            if let Ok(permit) = self.window.acquire().await {
                if let Some(sent) = self.client.publish(plain(&self.token_topic, &self.probe, false)).await {
                    sent.outcome().await;
                }
                drop(permit);
            }
            sleep(AFTER_PROBE).await;
        }
        let verdict = lock(&self.watch).decide();
        if let Some(verdict) = verdict {
            if verdict == Retained::Unreadable {
                self.problem(
                    "retained_unreadable",
                    &self.token_topic,
                    "it grants the subscription, but sends nothing",
                );
            }
            self.inbox.push(Notice::Retained(verdict));
        }
        self.client.unsubscribe(&self.token_topic).await;
    }

    fn problem(&self, code: &'static str, topic: &str, words: &str) {
        let detail = format!("the broker does not let this user read {topic}: {words}");
        self.inbox.push(Notice::Problem { code, detail });
    }
}

/// A message of the sink's own.
pub(super) fn plain(topic: &str, payload: &str, retain: bool) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        retain,
        content_type: "text/plain",
        part: Part::Value,
        id: None,
        event: None,
        time: None,
        sha256: None,
        again: None,
    }
}
