//! Looks now and then for what no event tells: time that has passed in silence, a backlog that grows, a disk that
//! fills.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::hooks::Hooks;
use crate::config::Devices;
use crate::findings::{Finding, Findings};
use crate::model::Source;
use crate::outbox::habit::LEAST;
use crate::outbox::history::{AlarmFilter, DeviceState};
use crate::outbox::{Outbox, Reader};
use crate::relay::Status;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(2);
/// All devices are compared with their habits at every so many looks.
const HABITS: u64 = 30;
/// So many looks make the window in which a backlog grows.
const WINDOW: usize = 5;
/// A backlog that grew by this much in the window is worth a word.
const GROWN: u64 = 20;
/// So long after a connection without a request an alarm should have come.
const TESTED: SignedDuration = SignedDuration::from_mins(5);
/// Devices read at a time.
const PAGE: usize = 500;

/// Looks at what time changes.
pub(super) struct Lookout {
    /// Old paths of webhooks end.
    pub(super) hooks: Arc<Hooks>,
    /// What was seen.
    pub(super) findings: Findings,
    /// Who was heard when.
    pub(super) outbox: Outbox,
    /// What the configuration says of devices.
    pub(super) devices: Arc<ArcSwap<Devices>>,
    /// How each sink is doing.
    pub(super) statuses: Vec<Status>,
    /// The storage folder, and the bytes that are to stay free there.
    pub(super) storage: (PathBuf, u64),
}

/// What it remembers from one look to the next.
#[derive(Default)]
struct Memory {
    silent: BTreeSet<String>,
    looks: u64,
    backlogs: BTreeMap<String, VecDeque<u64>>,
    tested: HashSet<String>,
    low: bool,
}

impl Lookout {
    /// Looks until the stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let lookout = Arc::new(self);
        let (mut memory, mut reader) = (Memory::default(), lookout.outbox.reader());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let this = Arc::clone(&lookout);
            let look = tokio::task::spawn_blocking(move || {
                this.look(&mut memory, &mut reader);
                (memory, reader)
            });
            let Ok(back) = look.await else { return };
            (memory, reader) = back;
        }
    }

    fn look(&self, memory: &mut Memory, reader: &mut Reader) {
        self.hooks.expire();
        self.backlogs(memory);
        self.disk(memory);
        // Without the disk nobody can tell who was heard when.
        if let Err(error) = self.silences(memory, reader).and_then(|()| self.tests(memory, reader)) {
            tracing::debug!("the outbox cannot be looked at: {error}");
        }
    }

    /// Sinks whose backlog grows.
    fn backlogs(&self, memory: &mut Memory) {
        for status in self.statuses.iter().map(Status::get) {
            let seen = memory.backlogs.entry(status.name.clone()).or_default();
            seen.push_back(status.backlog);
            if WINDOW < seen.len() {
                seen.pop_front();
            }
            let (first, now) = (seen.front().copied().unwrap_or_default(), status.backlog);
            if first + GROWN <= now {
                let why = status.trouble.unwrap_or_else(|| "it takes them more slowly than they come".into());
                let detail = format!(
                    "{now} alarms wait for {}, {} more than 10 s ago: {why}",
                    status.name,
                    now - first
                );
                self.findings.raise("backlog_growing", &status.name, &detail);
            } else if now < GROWN {
                self.findings.settle("backlog_growing", &status.name);
            }
        }
    }

    /// A disk that is nearly full.
    fn disk(&self, memory: &mut Memory) {
        let (folder, least) = &self.storage;
        let Ok(stat) = rustix::fs::statvfs(folder) else { return };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let low = free < least.saturating_mul(2);
        if low && !memory.low {
            self.findings.raise("disk_low", "storage", &format!("{} MiB are free", free >> 20));
        } else if !low && memory.low {
            self.findings.settle("disk_low", "storage");
        }
        memory.low = low;
    }

    /// Devices that are silent longer than is usual for them.
    fn silences(&self, memory: &mut Memory, reader: &mut Reader) -> rusqlite::Result<()> {
        let (configured, now) = (self.devices.load(), Timestamp::now());
        let expected = configured.iter().filter(|(_, of)| of.expected_every_seconds.is_some());
        let mut asked: BTreeSet<String> = expected.map(|(source, _)| source.clone()).collect();
        asked.extend(memory.silent.iter().take(PAGE).cloned());
        for source in asked {
            let state = Source::from_known(&source).map(|source| reader.device(&source)).transpose()?;
            let detail = state.flatten().and_then(|state| silence(&state, &configured, now));
            self.silent(&source, detail, memory);
        }
        if memory.looks.is_multiple_of(HABITS) {
            self.habits(&configured, now, memory, reader)?;
        }
        memory.looks = memory.looks.wrapping_add(1);
        Ok(())
    }

    /// Of all devices, those whose silence goes against their habit.
    fn habits(
        &self,
        configured: &Devices,
        now: Timestamp,
        memory: &mut Memory,
        reader: &mut Reader,
    ) -> rusqlite::Result<()> {
        let since = now.checked_sub(SignedDuration::try_from(LEAST).unwrap_or_default()).unwrap_or(now);
        let mut after = String::new();
        loop {
            let page = reader.quiet_devices(since, &after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            last.device.source.as_str().clone_into(&mut after);
            for state in &page {
                self.silent(state.device.source.as_str(), silence(state, configured, now), memory);
            }
        }
    }

    /// Notes whether a device is silent, and says so once.
    fn silent(&self, source: &str, detail: Option<String>, memory: &mut Memory) {
        match detail {
            Some(detail) if memory.silent.insert(source.to_owned()) => {
                self.findings.raise("device_silent", source, &detail);
            }
            None if memory.silent.remove(source) => self.findings.settle("device_silent", source),
            _ => {}
        }
    }

    /// Test buttons that were pressed, and no alarm followed.
    fn tests(&self, memory: &mut Memory, reader: &mut Reader) -> rusqlite::Result<()> {
        let latest = reader.alarms(&AlarmFilter::default(), 1)?.first().map(|entry| entry.record.at());
        let overdue = overdue(&self.findings.list(), latest, Timestamp::now());
        for (peer, detail) in &overdue {
            if !memory.tested.contains(peer) {
                self.findings.raise("test_no_alarm", peer, detail);
            }
        }
        let overdue: HashSet<String> = overdue.into_iter().map(|(peer, _)| peer).collect();
        for followed in memory.tested.difference(&overdue) {
            self.findings.settle("test_no_alarm", followed);
        }
        memory.tested = overdue;
        Ok(())
    }
}

/// What there is to say of a device's silence.
fn silence(state: &DeviceState, configured: &Devices, now: Timestamp) -> Option<String> {
    let device = &state.device;
    let expected = configured.get(device.source.as_str()).and_then(|of| of.expected_every_seconds);
    let limit = expected.map(Duration::from_secs).or_else(|| device.habit.limit())?;
    let last = Timestamp::from_millisecond(device.last_heard_ms).ok()?;
    let silent = Duration::try_from(now.duration_since(last)).ok()?;
    (limit < silent).then(|| {
        let name = device.name(None, None);
        let usual = if expected.is_some() { "expected at least" } else { "usually heard" };
        format!(
            "{name} was last heard {} s ago, and is {usual} every {} s",
            silent.as_secs(),
            limit.as_secs()
        )
    })
}

/// The peers whose connection without a request was followed by no alarm at all for too long.
fn overdue(findings: &[Finding], latest: Option<Timestamp>, now: Timestamp) -> Vec<(String, String)> {
    let tests = findings.iter().filter(|finding| finding.kind.code == "no_request");
    let waits = tests.filter(|test| {
        TESTED < now.duration_since(test.last) && latest.is_none_or(|latest| latest < test.last)
    });
    let said = |test: &Finding| {
        let minutes = now.duration_since(test.last).as_mins();
        (
            test.subject.clone(),
            format!("{} connected {minutes} minutes ago, and no alarm came since", test.subject),
        )
    };
    waits.map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_without_an_alarm_is_told_after_a_while() {
        let findings = Findings::default();
        findings.raise("no_request", "192.0.2.9", "it was closed again without a byte");
        let list = findings.list();
        let (tested, soon) = (list[0].last, list[0].last + SignedDuration::from_mins(4));
        let late = tested + SignedDuration::from_mins(6);
        assert!(overdue(&list, None, soon).is_empty());
        assert_eq!(overdue(&list, None, late)[0].0, "192.0.2.9");
        assert_eq!(overdue(&list, Some(tested - SignedDuration::from_mins(9)), late).len(), 1);
        assert!(overdue(&list, Some(tested + SignedDuration::from_mins(1)), late).is_empty());
    }
}
