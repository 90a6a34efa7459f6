//! One connection in either protocol version: a client that queues requests, and an event loop that one task polls
//! until the first error.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::SharedWatch;
use super::inbox::Inbox;
use super::packet::BrokerLimits;
use super::settings::MqttSettings;
use super::trouble::Trouble;
use crate::config::sinks::MqttVersion;
use client::Client;
use dial::Stream;
use events::{Events, Turn};

pub(super) mod client;
pub(super) mod dial;
pub(super) mod events;
mod v311;
pub(super) mod v5;

/// Receivers of the event loop's reports.
#[derive(Debug)]
pub(super) struct LinkReports {
    /// Receives the limits when the broker accepted the connection.
    pub(super) accepted: Option<oneshot::Sender<BrokerLimits>>,
    /// Interprets inbound messages.
    pub(super) watch: SharedWatch,
    /// Receives notices and the reason for the end.
    pub(super) inbox: Inbox,
    /// Cancelled at the end of the connection; cancelling it ends the connection.
    pub(super) ended: CancellationToken,
}

/// Starts the client on an open stream, and the only task that polls its event loop.
pub(super) fn start(
    settings: &MqttSettings,
    stream: Stream,
    reports: LinkReports,
) -> Result<Client, Trouble> {
    match settings.version {
        MqttVersion::V5 => {
            let (client, events) = v5::open(settings, stream)?;
            let client = Client::V5(client);
            tokio::spawn(run(events, settings.clone(), reports, client.clone()));
            Ok(client)
        }
        MqttVersion::V311 => {
            let (client, events) = v311::open(settings, stream)?;
            let client = Client::V311(client);
            tokio::spawn(run(events, settings.clone(), reports, client.clone()));
            Ok(client)
        }
    }
}

/// Polls until the first error, then drops the event loop with everything in it: it must never reconnect and send its
/// content, which counts as unsent.
async fn run<E: Events>(mut events: E, settings: MqttSettings, mut reports: LinkReports, client: Client) {
    // Before the CONNACK the connecting task bounds the time.
    let mut patience = super::CONNECT_TIMEOUT * 2;
    let mut up = false;
    let mut packet_bytes = None;
    let ended = reports.ended.clone().cancelled_owned();
    tokio::pin!(ended);
    let trouble = loop {
        let turned = tokio::select! {
            () = &mut ended => return,
            turned = timeout(patience, events.turn()) => turned,
        };
        match turned {
            Ok(Ok(Turn::Accepted(limits))) => {
                up = true;
                packet_bytes = limits.packet_bytes;
                patience = patience_for(limits.keep_alive.unwrap_or(settings.keep_alive_seconds));
                if let Some(accepted) = reports.accepted.take() {
                    // If the receiver gave up, `ended` is cancelled next.
                    accepted.send(limits).ok();
                }
            }
            Ok(Ok(Turn::Message(inbound))) => {
                let request_topics = settings.request_topics.as_ref();
                let other = request_topics.map_or(Some(inbound.clone()), |request_topics| {
                    request_topics.take(inbound, &client, packet_bytes)
                });
                let Some(inbound) = other else { continue };
                let mut watch = super::lock(&reports.watch);
                let (mark, notice) = (watch.mark(&inbound), watch.interpret(inbound));
                drop(watch);
                mark.into_iter().for_each(|mark| reports.inbox.push(mark));
                notice.into_iter().for_each(|notice| reports.inbox.push(notice));
            }
            Ok(Ok(Turn::Other)) => {}
            Ok(Err(trouble)) => break trouble,
            Err(_) => break Trouble::Silent,
        }
    };
    reports.inbox.end(trouble.explain(&settings, up));
    reports.ended.cancel();
}

/// Maximum time without a result of the event loop. The client itself sends a ping after one keep-alive and gives up
/// after a second one, but not while a write blocks because the peer reads nothing; this bounds that case too.
fn patience_for(keep_alive: u16) -> Duration {
    match keep_alive {
        0 => Duration::from_secs(u64::from(u32::MAX)),
        seconds => Duration::from_secs(u64::from(seconds) * 2 + 1),
    }
}
