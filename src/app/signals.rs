//! Signals: stop, stop at once, reload.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Streams of the signals the process handles.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// Action that a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Stop in order.
    Stop,
    /// Read the configuration again.
    Reload,
}

impl Signals {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// Fails when the system refuses a handler.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next action.
    pub(super) async fn next(&mut self) -> Action {
        tokio::select! {
            _ = self.interrupt.recv() => Action::Stop,
            _ = self.terminate.recv() => Action::Stop,
            _ = self.hangup.recv() => Action::Reload,
        }
    }

    /// Cancels the token at the next signal to stop, which skips the ordered stop.
    pub(super) async fn second(mut self, now: CancellationToken) {
        while self.next().await != Action::Stop {}
        now.cancel();
    }
}
