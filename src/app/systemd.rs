//! Tells systemd how it goes, where that is wanted (`Type=notify`, `WatchdogSec=`); elsewhere nothing happens.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::pulse::Pulse;

/// Tells one thing or more.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd could not be told: {error}");
    }
}

/// Everything listens.
pub(super) fn ready(admin: &str) {
    let status = format!("taking alarms; page at {admin}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The configuration is being read again; [`reloaded`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("systemd could not be told: {error}"),
    }
}

/// It was read, or left as it was.
pub(super) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// The stop has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Feeds the watchdog while commits get on; a writer that does not come back is what a restart may mend.
pub(super) async fn watchdog(pulse: Pulse, stop: CancellationToken) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    loop {
        if pulse.commits() {
            tell(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(within / 3) => {}
        }
    }
}
