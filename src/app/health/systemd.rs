//! Notifications to systemd (`Type=notify`, `WatchdogSec=`); without it nothing happens.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::publisher::HealthPublisher;

/// Sends state changes to systemd.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd could not be notified: {error}");
    }
}

/// Reports that every listener is bound.
pub(in crate::app) fn ready(admin: &str) {
    let status = format!("accepting alarms; page at {admin}");
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Reports the start of a reload; [`reloaded`] reports its end.
pub(in crate::app) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("systemd could not be notified: {error}"),
    }
}

/// Reports the end of a reload, also when it was refused.
pub(in crate::app) fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// Reports the start of the stop.
pub(in crate::app) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Feeds the watchdog while commits get on; a writer that does not come back may be fixed by a restart.
pub(in crate::app) async fn watchdog(health_publisher: HealthPublisher, stop: CancellationToken) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    loop {
        if health_publisher.commits() {
            notify(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(within / 3) => {}
        }
    }
}
