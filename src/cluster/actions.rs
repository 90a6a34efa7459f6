//! Actions that this instance sent to the cluster, until it has made them itself.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Actions that are waited for.
#[derive(Debug, Default)]
pub(super) struct PendingActions(Mutex<HashMap<Uuid, oneshot::Sender<bool>>>);

impl PendingActions {
    /// Waits for an action.
    pub(super) fn wait(&self, id: Uuid) -> oneshot::Receiver<bool> {
        let (answer, done) = oneshot::channel();
        let mut waiting = self.0.lock();
        waiting.retain(|_, answer| !answer.is_closed());
        waiting.insert(id, answer);
        done
    }

    /// Answers those that were made, with whether there was something to change.
    pub(super) fn made(&self, done: Vec<(Uuid, bool)>) {
        let mut waiting = self.0.lock();
        for (id, changed) in done {
            if let Some(answer) = waiting.remove(&id) {
                answer.send(changed).ok();
            }
        }
    }
}
