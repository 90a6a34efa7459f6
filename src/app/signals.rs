//! Signals: stop, stop now, reload.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the process is told.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Stop in good order.
    Stop,
    /// Read the configuration again.
    Reload,
}

impl Signals {
    /// Listens for them.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Cancels the token at the next signal to stop: somebody does not want to wait.
    pub(super) async fn second(mut self, now: CancellationToken) {
        while self.next().await != Told::Stop {}
        now.cancel();
    }
}
