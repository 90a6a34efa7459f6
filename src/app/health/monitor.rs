//! Checks periodically for conditions that no event reports: silent devices, a growing backlog, a disk that fills up.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::app::webhooks::registry::WebhookRegistry;
use crate::config::Devices;
use crate::findings::{Finding, FindingCode, Findings};
use crate::model::Source;
use crate::outbox::habit::MIN_SILENCE;
use crate::outbox::history::{AlarmFilter, DeviceState};
use crate::outbox::{Outbox, Reader};
use crate::relay::StatusHandle;

/// Interval between checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Number of checks between two comparisons of all devices with their habits.
const HABIT_CHECKS: u64 = 30;
/// Number of checks in the backlog window.
const BACKLOG_WINDOW: usize = 5;
/// Growth of a backlog within the window, in messages, that raises a finding.
const BACKLOG_GROWTH: u64 = 20;
/// Maximum time between a connection without a request (a camera's test button) and the next alarm.
const TEST_DEADLINE: SignedDuration = SignedDuration::from_mins(5);
/// Maximum number of devices read at a time.
const PAGE: usize = 500;

/// Checks periodically for conditions that depend on time.
pub(in crate::app) struct Monitor {
    /// Webhooks, whose retired paths expire.
    pub(in crate::app) webhook_registry: Arc<WebhookRegistry>,
    /// Findings.
    pub(in crate::app) findings: Findings,
    /// Outbox, which knows when each device was last heard.
    pub(in crate::app) outbox: Outbox,
    /// Device settings.
    pub(in crate::app) devices: Arc<ArcSwap<Devices>>,
    /// Status of each sink.
    pub(in crate::app) statuses: Vec<StatusHandle>,
    /// Storage folder, and the number of bytes that must stay free there.
    pub(in crate::app) storage: (PathBuf, u64),
}

/// State between two checks.
#[derive(Default)]
struct Memory {
    silent: BTreeSet<String>,
    looks: u64,
    backlogs: BTreeMap<String, VecDeque<u64>>,
    tested: HashSet<String>,
    low: bool,
}

impl Monitor {
    /// Runs until the stop.
    pub(in crate::app) async fn run(self, stop: CancellationToken) {
        let monitor = Arc::new(self);
        let (mut memory, mut reader) = (Memory::default(), monitor.outbox.reader());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            let this = Arc::clone(&monitor);
            let look = tokio::task::spawn_blocking(move || {
                this.check(&mut memory, &mut reader);
                (memory, reader)
            });
            let Ok(back) = look.await else { return };
            (memory, reader) = back;
        }
    }

    fn check(&self, memory: &mut Memory, reader: &mut Reader) {
        self.webhook_registry.expire();
        self.backlogs(memory);
        self.disk(memory);
        // Fails while the disk cannot be read.
        if let Err(error) = self.silences(memory, reader).and_then(|()| self.tests(memory, reader)) {
            tracing::debug!("the outbox cannot be read: {error}");
        }
    }

    /// Reports sinks whose backlog grows.
    fn backlogs(&self, memory: &mut Memory) {
        for status in self.statuses.iter().map(StatusHandle::get) {
            let seen = memory.backlogs.entry(status.name.clone()).or_default();
            seen.push_back(status.backlog);
            if BACKLOG_WINDOW < seen.len() {
                seen.pop_front();
            }
            let (first, now) = (seen.front().copied().unwrap_or_default(), status.backlog);
            if first + BACKLOG_GROWTH <= now {
                let why =
                    status.trouble.unwrap_or_else(|| "it accepts them more slowly than they arrive".into());
                let detail = format!(
                    "{now} alarms wait for {}, {} more than 10 s ago: {why}",
                    status.name,
                    now - first
                );
                self.findings.raise(FindingCode::BacklogGrowing, &status.name, &detail);
            } else if now < BACKLOG_GROWTH {
                self.findings.settle(FindingCode::BacklogGrowing, &status.name);
            }
        }
    }

    /// Reports a disk that is nearly full.
    fn disk(&self, memory: &mut Memory) {
        let (folder, least) = &self.storage;
        let Ok(stat) = rustix::fs::statvfs(folder) else { return };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let low = free < least.saturating_mul(2);
        if low && !memory.low {
            self.findings.raise(FindingCode::DiskLow, "storage", &format!("{} MiB are free", free >> 20));
        } else if !low && memory.low {
            self.findings.settle(FindingCode::DiskLow, "storage");
        }
        memory.low = low;
    }

    /// Reports devices that have been silent longer than usual.
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
        if memory.looks.is_multiple_of(HABIT_CHECKS) {
            self.habits(&configured, now, memory, reader)?;
        }
        memory.looks = memory.looks.wrapping_add(1);
        Ok(())
    }

    /// Compares the silence of every device with its habit.
    fn habits(
        &self,
        configured: &Devices,
        now: Timestamp,
        memory: &mut Memory,
        reader: &mut Reader,
    ) -> rusqlite::Result<()> {
        let since = now.checked_sub(SignedDuration::try_from(MIN_SILENCE).unwrap_or_default()).unwrap_or(now);
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

    /// Stores whether a device is silent; raises or settles the finding on a change.
    fn silent(&self, source: &str, detail: Option<String>, memory: &mut Memory) {
        match detail {
            Some(detail) if memory.silent.insert(source.to_owned()) => {
                self.findings.raise(FindingCode::DeviceSilent, source, &detail);
            }
            None if memory.silent.remove(source) => self.findings.settle(FindingCode::DeviceSilent, source),
            _ => {}
        }
    }

    /// Reports test connections that no alarm followed.
    fn tests(&self, memory: &mut Memory, reader: &mut Reader) -> rusqlite::Result<()> {
        let latest = reader.alarms(&AlarmFilter::default(), 1)?.first().map(|entry| entry.record.at());
        let overdue = overdue(&self.findings.list(), latest, Timestamp::now());
        for (peer, detail) in &overdue {
            if !memory.tested.contains(peer) {
                self.findings.raise(FindingCode::TestNoAlarm, peer, detail);
            }
        }
        let overdue: HashSet<String> = overdue.into_iter().map(|(peer, _)| peer).collect();
        for followed in memory.tested.difference(&overdue) {
            self.findings.settle(FindingCode::TestNoAlarm, followed);
        }
        memory.tested = overdue;
        Ok(())
    }
}

/// Detail of the finding for a device that has been silent too long, else `None`.
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

/// Peers, with detail, whose connection without a request was not followed by an alarm in time.
fn overdue(findings: &[Finding], latest: Option<Timestamp>, now: Timestamp) -> Vec<(String, String)> {
    let tests = findings.iter().filter(|finding| finding.kind.code == FindingCode::NoRequest);
    let waits = tests.filter(|test| {
        TEST_DEADLINE < now.duration_since(test.last) && latest.is_none_or(|latest| latest < test.last)
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
        findings.raise(FindingCode::NoRequest, "192.0.2.9", "it was closed before the first byte");
        let list = findings.list();
        let (tested, soon) = (list[0].last, list[0].last + SignedDuration::from_mins(4));
        let late = tested + SignedDuration::from_mins(6);
        assert!(overdue(&list, None, soon).is_empty());
        assert_eq!(overdue(&list, None, late)[0].0, "192.0.2.9");
        assert_eq!(overdue(&list, Some(tested - SignedDuration::from_mins(9)), late).len(), 1);
        assert!(overdue(&list, Some(tested + SignedDuration::from_mins(1)), late).is_empty());
    }
}
