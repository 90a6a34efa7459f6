//! Subscriptions at the embedded broker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::lock;
use super::watch::matches;

/// Maximum number of disconnected clients whose sessions are remembered.
const MAX_DISCONNECTED: usize = 1_000;

/// Subscriptions of the embedded broker's clients; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Audience(Arc<Mutex<HashMap<String, Listener>>>);

/// State of one client.
#[derive(Debug, Default)]
struct Listener {
    filters: HashSet<String>,
    connected: bool,
    /// Set if its session, including subscriptions, outlives its connection.
    persistent: bool,
}

impl Audience {
    /// Returns whether a connected client subscribes to a topic, not counting the bridge.
    #[must_use]
    pub fn has_subscriber(&self, topic: &str) -> bool {
        lock(&self.0)
            .iter()
            .filter(|(client, listener)| listener.connected && !is_bridge(client))
            .any(|(_, listener)| listener.filters.iter().any(|filter| matches(filter, topic)))
    }

    /// Number of connected clients other than the bridge that have a subscription.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        lock(&self.0)
            .iter()
            .filter(|(client, listener)| {
                listener.connected && !is_bridge(client) && !listener.filters.is_empty()
            })
            .count()
    }

    /// Records a connected client; `fresh`: its earlier subscriptions are gone.
    pub fn connected(&self, client: &str, fresh: bool, persistent: bool) {
        let mut all = lock(&self.0);
        let listener = all.entry(client.to_owned()).or_default();
        if fresh {
            listener.filters.clear();
        }
        (listener.connected, listener.persistent) = (true, persistent);
    }

    /// Records a subscription.
    pub fn subscribed(&self, client: &str, filter: &str) {
        // A shared subscription receives the topics of the filter after its group name.
        let filter =
            filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, f)| f);
        lock(&self.0).entry(client.to_owned()).or_default().filters.insert(filter.to_owned());
    }

    /// Records the end of a subscription.
    pub fn unsubscribed(&self, client: &str, filter: &str) {
        if let Some(listener) = lock(&self.0).get_mut(client) {
            listener.filters.remove(filter);
        }
    }

    /// Records a disconnect; the subscriptions end as well, unless the session outlives it.
    pub fn disconnected(&self, client: &str) {
        let mut all = lock(&self.0);
        let full = MAX_DISCONNECTED < all.len();
        match all.get_mut(client) {
            Some(listener) if listener.persistent && !full => listener.connected = false,
            _ => {
                all.remove(client);
            }
        }
    }
}

/// Returns whether a client is the bridge: its client id is made from an instance id.
fn is_bridge(client: &str) -> bool {
    client.starts_with("alarmbus-")
}
