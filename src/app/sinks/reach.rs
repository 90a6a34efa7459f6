//! Connections to the brokers, as the cluster asks for them.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};

use super::kinds::{KINDS, SinkKind};
use crate::app::webhooks::registry::WebhookRegistry;
use crate::cluster::{self, Brokers};
use crate::config::Config;
use crate::relay::StatusHandle;

/// The brokers of the enabled sinks.
#[derive(Debug)]
pub(in crate::app) struct SinkBrokers {
    /// Configuration of the sinks.
    pub(in crate::app) config: Config,
    /// Status of each sink.
    pub(in crate::app) statuses: Vec<StatusHandle>,
    /// Webhooks, whose hash the instances compare.
    pub(in crate::app) registry: Arc<WebhookRegistry>,
}

impl SinkBrokers {
    fn kinds(&self) -> impl Iterator<Item = &'static SinkKind> {
        KINDS.iter().filter(|kind| kind.has_broker && (kind.is_on)(&self.config))
    }
}

impl Brokers for SinkBrokers {
    fn connected(&self, k: u64) -> Vec<(&'static str, bool)> {
        let connected = |kind: &'static SinkKind| {
            let key = cluster::of_partition(kind.name, k);
            let mut statuses = self.statuses.iter().map(StatusHandle::get);
            let status = statuses.find(|status| status.name == key && !status.standby)?;
            Some((kind.name, status.connected))
        };
        self.kinds().filter_map(connected).collect()
    }

    fn webhooks(&self) -> Vec<String> {
        self.registry.list().into_iter().map(|webhook| webhook.path).collect()
    }

    fn test(&self) -> BoxFuture<'_, Vec<(&'static str, Result<(), String>)>> {
        let test =
            |kind: &'static SinkKind| async move { (kind.name, (kind.test)(&self.config).await.map(drop)) };
        join_all(self.kinds().map(test)).boxed()
    }
}
