//! Whether devices are there, for those whose settings ask for it: heard often enough, or a port answers.
//!
//! Off by default, and nothing else ever says that a device is gone: these devices only push, and silence alone
//! proves nothing. The only address a probe ever goes to is that of the configured device itself.

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

/// How often everything is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often a port that answers is asked again.
const AGAIN: Duration = Duration::from_secs(30);
/// How soon after a failure it is asked again: one failure proves nothing.
const SOON: Duration = Duration::from_secs(5);
/// A port that does not answer within this does not answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many failures in a row do.
const FAILURES: u32 = 2;
/// Probes at once.
const AT_ONCE: usize = 32;

/// A device that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watched {
    source: Source,
    expected: Option<SignedDuration>,
    port: Option<u16>,
}

/// The devices that are watched; replaced whole on a reload.
pub(super) type WatchList = Arc<ArcSwap<Vec<Watched>>>;

/// The devices whose settings ask for it.
pub(super) fn watched(devices: &Devices) -> Vec<Watched> {
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

/// Watches over devices.
pub(super) struct Availability {
    outbox: Outbox,
    list: WatchList,
    reader: Reader,
    since: Timestamp,
    of: HashMap<Source, State>,
    probes: JoinSet<(Source, Result<(), String>)>,
}

/// What is known of one device.
#[derive(Debug, Default)]
struct State {
    /// The latest verdict of its probe, once there is one.
    answers: Option<Result<(), String>>,
    failures: u32,
    asking: bool,
    next: Option<Instant>,
    told: Option<(bool, String)>,
}

impl Availability {
    /// Watches over the devices of this list, which is exchanged on reload.
    pub(super) fn new(outbox: Outbox, list: WatchList) -> Self {
        let reader = outbox.reader();
        Self { outbox, list, reader, since: Timestamp::now(), of: HashMap::new(), probes: JoinSet::new() }
    }

    /// Watches until the stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(Ok((source, answer))) = self.probes.join_next() => self.answered(&source, answer),
                _ = look.tick() => self.look().await,
            }
        }
    }

    /// Looks at every device; tells the writer what is new.
    async fn look(&mut self) {
        let list = self.list.load_full();
        self.of.retain(|source, _| list.iter().any(|watched| watched.source == *source));
        // What is heard while the disk refuses writes cannot be read back.
        if !self.outbox.durable() {
            return;
        }
        for watched in list.iter() {
            let Ok(Some(heard)) = self.reader.heard(&watched.source) else { continue };
            self.probe(watched, &heard);
            let state = self.of.entry(watched.source.clone()).or_default();
            let found = verdict(watched, heard.at.max(self.since), &heard, state.answers.as_ref());
            let Some((is, why)) = found.filter(|found| state.told.as_ref() != Some(found)) else { continue };
            state.told = Some((is, why.clone()));
            let change = DeviceChange::Available(watched.source.clone(), is, why);
            if self.outbox.device(change).await.is_err() {
                return;
            }
        }
    }

    /// Asks its port, if it is time to.
    fn probe(&mut self, watched: &Watched, heard: &Heard) {
        let Some(port) = watched.port else { return };
        let Some(ip) = heard.ip.as_ref().and_then(|ip| ip.parse::<IpAddr>().ok()) else { return };
        let state = self.of.entry(watched.source.clone()).or_default();
        let due = state.next.is_none_or(|next| next <= Instant::now());
        if state.asking || !due || AT_ONCE <= self.probes.len() {
            return;
        }
        state.asking = true;
        let source = watched.source.clone();
        self.probes.spawn(async move { (source, ask(SocketAddr::new(ip, port)).await) });
    }

    /// Notes what became of a probe.
    fn answered(&mut self, source: &Source, answer: Result<(), String>) {
        let Some(state) = self.of.get_mut(source) else { return };
        state.asking = false;
        state.failures = if answer.is_ok() { 0 } else { state.failures.saturating_add(1) };
        state.next = Some(Instant::now() + if state.failures == 1 { SOON } else { AGAIN });
        if answer.is_ok() || FAILURES <= state.failures {
            state.answers = Some(answer);
        }
    }
}

/// Connects and hangs up.
async fn ask(address: SocketAddr) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{address}: {}", error.kind())),
        Err(_) => Err(format!("{address}: no answer")),
    }
}

/// Whether a device is there and why that is said; `None`: nothing can be said yet. `silent_since`: from when on
/// silence counts, since nobody listened before the bridge started.
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
        assert_eq!(ask(address).await, Ok(()));
        drop(listener);
        assert_eq!(ask(address).await, Err(format!("{address}: connection refused")));
    }
}
