//! One session: its shared state, its notices, and its end.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::presence::Presence;
use crate::sink::Notice;
use shared::SessionState;

pub(super) mod ending;
pub(super) mod shared;

/// Session; dropping it stops all its tasks.
pub(super) struct NatsSession {
    /// State shared by the tasks of this session.
    pub(super) shared: Arc<SessionState>,
    /// Notices from the server.
    pub(super) notices: mpsc::Receiver<Notice>,
    /// Renewal of `bridge.state`, once it was published.
    pub(super) presence: Option<Presence>,
}

impl Drop for NatsSession {
    fn drop(&mut self) {
        self.shared.ending.gone.cancel();
    }
}
