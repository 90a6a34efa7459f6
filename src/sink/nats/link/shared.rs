//! State shared by the tasks of a session.

use std::sync::{Arc, OnceLock};

use async_nats::Client;
use tokio::sync::Semaphore;

use super::ending::Ending;
use crate::sink::nats::fence::Fence;
use crate::sink::nats::store::JetStreamStore;

/// State shared by the tasks of a session.
pub(in crate::sink::nats) struct SessionState {
    /// The connection.
    pub(in crate::sink::nats) client: Client,
    /// JetStream, if the sink uses it.
    pub(in crate::sink::nats) store: Option<JetStreamStore>,
    /// Number of messages that may be in flight.
    pub(in crate::sink::nats) window: Arc<Semaphore>,
    /// End of the session, and refused subjects.
    pub(in crate::sink::nats) ending: Arc<Ending>,
    /// The fence of the values, in a cluster.
    pub(in crate::sink::nats) fence: OnceLock<Fence>,
}
