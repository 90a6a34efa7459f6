//! Who listens at the embedded broker.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::lock;
use super::watch::matches;

/// The subscriptions of the clients connected to the embedded broker; a cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Audience(Arc<Mutex<HashMap<String, HashSet<String>>>>);

impl Audience {
    /// Whether somebody subscribes to a topic, the bridge itself not counted.
    #[must_use]
    pub fn hears(&self, topic: &str) -> bool {
        lock(&self.0)
            .iter()
            .filter(|(client, _)| !is_bridge(client))
            .any(|(_, filters)| filters.iter().any(|filter| matches(filter, topic)))
    }

    /// How many connected clients subscribe to anything, the bridge itself not counted.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        lock(&self.0).iter().filter(|(client, filters)| !is_bridge(client) && !filters.is_empty()).count()
    }

    /// A client subscribed.
    #[cfg(feature = "embedded-broker")]
    pub(in crate::sink) fn joined(&self, client: &str, filter: &str) {
        // A shared subscription listens to the filter behind its group's name.
        let filter =
            filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, f)| f);
        lock(&self.0).entry(client.to_owned()).or_default().insert(filter.to_owned());
    }

    /// A client unsubscribed.
    #[cfg(feature = "embedded-broker")]
    pub(in crate::sink) fn left(&self, client: &str, filter: &str) {
        if let Some(filters) = lock(&self.0).get_mut(client) {
            filters.remove(filter);
        }
    }

    /// A client is gone.
    #[cfg(feature = "embedded-broker")]
    pub(in crate::sink) fn gone(&self, client: &str) {
        lock(&self.0).remove(client);
    }
}

/// The embedded broker runs only beside a bridge with a client id made from its instance id.
fn is_bridge(client: &str) -> bool {
    client.starts_with("alarmbus-")
}
