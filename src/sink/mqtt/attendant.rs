//! Background task of a session: its subscriptions, and the check of the broker's retained messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::inbox::Inbox;
use super::link::client::Client;
use super::packet::Subscription;
use super::{SharedWatch, lock};
use crate::findings::FindingCode;
use crate::render::{Message, MessagePart};
use crate::sink::{Notice, Outcome, Retained};

/// Maximum time from the SUBACK to the retained token; then the probe is sent.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum time from the probe to the token; then it counts as absent.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Subscribes at the start of a session and waits for the token.
pub(super) struct Attendant {
    pub(super) client: Client,
    pub(super) window: Arc<Semaphore>,
    pub(super) watch: SharedWatch,
    pub(super) inbox: Inbox,
    pub(super) token_topic: String,
    pub(super) probe: String,
    /// Set if an earlier session's probe was not accepted: the broker may close the connection because of it.
    pub(super) probe_refused: Arc<AtomicBool>,
}

impl Attendant {
    /// Subscribes to the token topic, if the token is expected, and to `others`.
    pub(super) async fn run(self, others: Vec<Subscription>) {
        let asks = lock(&self.watch).undecided();
        let mut filters = others;
        if asks {
            // Without "no-local", because the probe must come back.
            filters.insert(0, Subscription { path: self.token_topic.clone(), no_local: false, stored: true });
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
                if token { FindingCode::RetainedUnreadable } else { FindingCode::SubscriptionRefused },
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

    /// Waits for the token; if none arrives, sends a probe to learn whether the topic can be read.
    async fn verdict(&self) {
        sleep(TOKEN_TIMEOUT).await;
        if lock(&self.watch).undecided() && !self.probe_refused.load(Ordering::Relaxed) {
            // Counts as refused until it is accepted, since the connection may break first.
            self.probe_refused.store(true, Ordering::Relaxed);
            if let Ok(permit) = self.window.acquire().await {
                if let Some(sent) = self.client.publish(plain(&self.token_topic, &self.probe, false)).await {
                    let accepted = matches!(sent.outcome().await, Some(Outcome::Delivered { .. }));
                    self.probe_refused.store(!accepted, Ordering::Relaxed);
                }
                drop(permit);
            }
            sleep(PROBE_TIMEOUT).await;
        }
        let verdict = lock(&self.watch).decide();
        if let Some(verdict) = verdict {
            if verdict == Retained::Unreadable {
                self.problem(
                    FindingCode::RetainedUnreadable,
                    &self.token_topic,
                    "it grants the subscription, but sends nothing",
                );
            }
            self.inbox.push(Notice::Retained(verdict));
        }
        self.client.unsubscribe(&self.token_topic).await;
    }

    fn problem(&self, code: FindingCode, topic: &str, words: &str) {
        let detail = format!("the broker does not let this user read {topic}: {words}");
        self.inbox.push(Notice::Problem { code, detail });
    }
}

/// Creates one of the sink's own messages.
pub(super) fn plain(topic: &str, payload: &str, retain: bool) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        retain,
        content_type: "text/plain",
        part: MessagePart::Value,
        id: None,
        event: None,
        time: None,
        sha256: None,
        replay_of: None,
    }
}
