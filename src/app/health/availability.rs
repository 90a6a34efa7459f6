//! Availability of devices whose settings ask for it: heard often enough, or a TCP port that answers.
//!
//! Off by default. Without it the bridge never reports a device as gone: these devices only push, so silence alone
//! proves nothing. Probes connect to the address of the configured device only.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Devices;
use crate::config::devices::probe_port;
use crate::model::Source;
use crate::outbox::{DeviceChange, Heard, Outbox, Reader};

/// Interval between checks of all devices.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Interval between probes of a port that answers.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Delay after a failed probe. One failure proves nothing.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Maximum time a probe waits for the connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Number of consecutive failed probes after which a device counts as unavailable.
const MAX_FAILURES: u32 = 2;
/// Maximum number of concurrent probes.
const MAX_PROBES: usize = 32;

/// Device whose availability is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Watched {
    source: Source,
    expected: Option<SignedDuration>,
    port: Option<u16>,
}

/// Collects the devices whose settings ask for a check.
pub(in crate::app) type WatchList = Arc<ArcSwap<Vec<Watched>>>;

/// Collects the devices whose settings ask for it.
pub(in crate::app) fn watched(devices: &Devices) -> Vec<Watched> {
    let wanted = devices.iter().filter(|(_, of)| of.enabled != Some(false)).filter_map(|(key, of)| {
        let known = || Source::from_known(key);
        let source = of.mac.map(Source::of_mac).or_else(known)?;
        let seconds = of.expected_every_seconds.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        let expected = seconds.map(SignedDuration::from_secs);
        let port = of.probe.as_deref().and_then(probe_port);
        (expected.is_some() || port.is_some()).then_some(Watched { source, expected, port })
    });
    wanted.collect()
}

/// Checks the availability of devices.
pub(in crate::app) struct AvailabilityMonitor {
    outbox: Outbox,
    list: WatchList,
    reader: Reader,
    since: Timestamp,
    of: HashMap<Source, State>,
    probes: JoinSet<(Source, Result<(), String>)>,
}

/// State of one device.
#[derive(Debug, Default)]
struct State {
    /// Latest result of its probe; `None` before the first one.
    answers: Option<Result<(), String>>,
    failures: u32,
    asking: bool,
    next: Option<Instant>,
    published: Option<(bool, String)>,
}

impl AvailabilityMonitor {
    /// Creates it for a list that a reload exchanges.
    pub(in crate::app) fn new(outbox: Outbox, list: WatchList) -> Self {
        let reader = outbox.reader();
        Self { outbox, list, reader, since: Timestamp::now(), of: HashMap::new(), probes: JoinSet::new() }
    }

    /// Runs until the stop.
    pub(in crate::app) async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(CHECK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(Ok((source, answer))) = self.probes.join_next() => self.answered(&source, answer),
                _ = look.tick() => self.check_all().await,
            }
        }
    }

    /// Checks every device and reports changes to the outbox writer.
    async fn check_all(&mut self) {
        let list = self.list.load_full();
        self.of.retain(|source, _| list.iter().any(|watched| watched.source == *source));
        // Records that are not on disk cannot be read back, so `last heard` would be wrong.
        if !self.outbox.durable() {
            return;
        }
        for watched in list.iter() {
            let Ok(Some(heard)) = self.reader.heard(&watched.source) else { continue };
            self.probe(watched, &heard);
            let decides = self.outbox.decides(&watched.source);
            let state = self.of.entry(watched.source.clone()).or_default();
            if !decides {
                state.published = None;
                continue;
            }
            let found = verdict(watched, heard.at.max(self.since), &heard, state.answers.as_ref());
            let Some((is, why)) = found.filter(|found| state.published.as_ref() != Some(found)) else {
                continue;
            };
            state.published = Some((is, why.clone()));
            let change = DeviceChange::Available(watched.source.clone(), is, why);
            if self.outbox.device(change).await.is_err() {
                return;
            }
        }
    }

    /// Starts a probe of its port, if one is due.
    fn probe(&mut self, watched: &Watched, heard: &Heard) {
        let Some(port) = watched.port else { return };
        let Some(ip) = heard.ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()) else { return };
        let state = self.of.entry(watched.source.clone()).or_default();
        let due = state.next.is_none_or(|next| next <= Instant::now());
        if state.asking || !due || MAX_PROBES <= self.probes.len() {
            return;
        }
        state.asking = true;
        let source = watched.source.clone();
        self.probes.spawn(async move { (source, connect(SocketAddr::new(ip, port)).await) });
    }

    /// Stores the result of a probe.
    fn answered(&mut self, source: &Source, answer: Result<(), String>) {
        let Some(state) = self.of.get_mut(source) else { return };
        state.asking = false;
        state.failures = if answer.is_ok() { 0 } else { state.failures.saturating_add(1) };
        state.next = Some(Instant::now() + if state.failures == 1 { RETRY_DELAY } else { PROBE_INTERVAL });
        if answer.is_ok() || MAX_FAILURES <= state.failures {
            state.answers = Some(answer);
        }
    }
}

/// Connects and closes the connection.
async fn connect(address: SocketAddr) -> Result<(), String> {
    match tokio::time::timeout(PROBE_TIMEOUT, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{address}: {}", error.kind())),
        Err(_) => Err(format!("{address}: no answer")),
    }
}

/// Availability of a device and its reason; `None` while it is unknown. `silent_since`: time from which silence
/// counts, since nothing could be received before the bridge started.
fn verdict(
    watched: &Watched,
    silent_since: Timestamp,
    heard: &Heard,
    answers: Option<&Result<(), String>>,
) -> Option<(bool, String)> {
    let now = Timestamp::now();
    let within = |from: Timestamp| watched.expected.map(|expected| now.duration_since(from) <= expected);
    if within(heard.at) == Some(true) {
        let seconds = watched.expected.unwrap_or_default().as_secs();
        return Some((true, format!("heard within the last {seconds} s")));
    }
    if let (Some(Ok(())), Some(port)) = (answers, watched.port) {
        return Some((true, format!("port {port} answers")));
    }
    let silent = (within(silent_since) == Some(false)).then(|| {
        let seconds = watched.expected.unwrap_or_default().as_secs();
        format!("not heard for more than {seconds} s")
    });
    let deaf = answers.and_then(|answers| answers.as_ref().err()).cloned();
    let known = watched.expected.is_none() == silent.is_none() && watched.port.is_none() == deaf.is_none();
    let why: Vec<String> = silent.into_iter().chain(deaf).collect();
    known.then(|| (false, why.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn devices(settings: Value) -> Vec<Watched> {
        watched(&serde_json::from_value(settings).unwrap())
    }

    fn heard(seconds_ago: i64) -> Heard {
        Heard { at: Timestamp::now() - SignedDuration::from_secs(seconds_ago), ip: None }
    }

    #[test]
    fn only_devices_that_ask_for_it_are_watched() {
        let list = devices(json!({
            "98ba5f8b1003": {"name": "x"},
            "98ba5f8b1004": {"expected_every_seconds": 60},
            "ip-192-0-2-1": {"mac": "98:ba:5f:8b:10:05", "probe": "tcp:554"},
            "98ba5f8b1006": {"enabled": false, "probe": "tcp:554"},
        }));
        let found: Vec<_> =
            list.iter().map(|it| (it.source.as_str(), it.expected.is_some(), it.port)).collect();
        assert_eq!(found, [("98ba5f8b1004", true, None), ("98ba5f8b1005", false, Some(554))]);
    }

    #[test]
    fn silence_counts_only_from_the_start_on() {
        let list = devices(json!({"98ba5f8b1004": {"expected_every_seconds": 60}}));
        let says = |seconds_ago: i64, since: i64| {
            let since = Timestamp::now() - SignedDuration::from_secs(since);
            let heard = heard(seconds_ago);
            verdict(&list[0], heard.at.max(since), &heard, None).map(|(is, _)| is)
        };
        assert_eq!((says(10, 1), says(100, 10), says(100, 90)), (Some(true), None, Some(false)));
    }

    #[test]
    fn a_device_is_gone_only_when_every_check_says_so() {
        let list = devices(json!({"98ba5f8b1004": {"expected_every_seconds": 60, "probe": "tcp:554"}}));
        let says = |seconds_ago: i64, answers: Option<Result<(), String>>| {
            let heard = heard(seconds_ago);
            verdict(&list[0], heard.at, &heard, answers.as_ref())
        };
        assert_eq!(says(100, None), None);
        assert_eq!(says(100, Some(Ok(()))), Some((true, "port 554 answers".into())));
        assert_eq!(says(10, Some(Err("no".into()))).map(|(is, _)| is), Some(true));
        let gone = says(100, Some(Err("192.0.2.1:554: no answer".into())));
        assert_eq!(gone, Some((false, "not heard for more than 60 s; 192.0.2.1:554: no answer".into())));
    }

    #[tokio::test]
    async fn a_port_answers_or_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(connect(address).await, Ok(()));
        drop(listener);
        assert_eq!(connect(address).await, Err(format!("{address}: connection refused")));
    }
}
