//! Who listens at the embedded broker.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::lock;
use super::watch::matches;

/// The most clients whose kept sessions are remembered while they are away.
const AWAY: usize = 1_000;

/// The subscriptions of the clients of the embedded broker; a cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Audience(Arc<Mutex<HashMap<String, Listener>>>);

/// One client.
#[derive(Debug, Default)]
struct Listener {
    filters: HashSet<String>,
    connected: bool,
    /// Its session, subscriptions included, outlives its connection.
    stays: bool,
}

impl Audience {
    /// Whether somebody connected subscribes to a topic, the bridge itself not counted.
    #[must_use]
    pub fn hears(&self, topic: &str) -> bool {
        lock(&self.0)
            .iter()
            .filter(|(client, listener)| listener.connected && !is_bridge(client))
            .any(|(_, listener)| listener.filters.iter().any(|filter| matches(filter, topic)))
    }

    /// How many connected clients subscribe to anything, the bridge itself not counted.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        lock(&self.0)
            .iter()
            .filter(|(client, listener)| {
                listener.connected && !is_bridge(client) && !listener.filters.is_empty()
            })
            .count()
    }

    /// A client connected; `fresh`: without what it had subscribed before.
    pub fn came(&self, client: &str, fresh: bool, stays: bool) {
        let mut all = lock(&self.0);
        let listener = all.entry(client.to_owned()).or_default();
        if fresh {
            listener.filters.clear();
        }
        (listener.connected, listener.stays) = (true, stays);
    }

    /// A client subscribed.
    pub fn joined(&self, client: &str, filter: &str) {
        // A shared subscription listens to the filter behind its group's name.
        let filter =
            filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, f)| f);
        lock(&self.0).entry(client.to_owned()).or_default().filters.insert(filter.to_owned());
    }

    /// A client unsubscribed.
    pub fn left(&self, client: &str, filter: &str) {
        if let Some(listener) = lock(&self.0).get_mut(client) {
            listener.filters.remove(filter);
        }
    }

    /// A client is gone; its subscriptions too, unless its session stays.
    pub fn gone(&self, client: &str) {
        let mut all = lock(&self.0);
        let full = AWAY < all.len();
        match all.get_mut(client) {
            Some(listener) if listener.stays && !full => listener.connected = false,
            _ => {
                all.remove(client);
            }
        }
    }
}

/// The embedded broker runs only beside a bridge with a client id made from its instance id.
fn is_bridge(client: &str) -> bool {
    client.starts_with("alarmbus-")
}
