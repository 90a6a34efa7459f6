//! Rows that follow from the log: how often and when a device was heard, the latest alarm of a source, the repeats of
//! an activity. Each costs a page of its own, so while alarms come fast they are written some time after their alarms,
//! all that changed at once. A start after a crash finds them by the log (see `store::forward`).

use std::time::Duration;

use tokio::time::Instant;

use crate::model::value::What;
use crate::outbox::effects::{Effects, ValueKey};
use crate::outbox::recent::REMEMBERED;

/// A commit takes them along when the last one that did is so long ago.
const APART: Duration = Duration::from_millis(250);
/// They are written so late at the latest.
const LATEST: Duration = Duration::from_millis(500);

/// What waits, and how far what is written goes.
#[derive(Debug)]
pub(crate) struct Waiting {
    rows: Effects,
    since: Option<Instant>,
    written: Option<Instant>,
    /// The next version of a value when they were written last.
    version: i64,
    /// The last entry they follow from then.
    no: i64,
}

impl Waiting {
    /// Nothing waits; what is written follows from the log up to `no`.
    pub(crate) fn new(next_version: i64, no: i64) -> Self {
        Self { rows: Effects::default(), since: None, written: None, version: next_version, no }
    }

    /// The last entry that what is written follows from: those after it are needed.
    pub(crate) fn written_until(&self) -> i64 {
        self.no
    }

    /// Whether the next commit takes them along: it is time, or memory would forget one of their values before the
    /// disk has it.
    pub(crate) fn go(&self, next_version: i64) -> bool {
        let many = i64::try_from(REMEMBERED).unwrap_or(i64::MAX) <= next_version - self.version;
        many || self.written.is_none_or(|written| APART <= written.elapsed())
    }

    /// When they are due without a commit that takes them along.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.since.map(|since| since + LATEST)
    }

    /// Whether they are due.
    pub(crate) fn due(&self) -> bool {
        self.wake().is_some_and(|due| due <= Instant::now())
    }

    /// Whether anything waits.
    pub(crate) fn any(&self) -> bool {
        self.since.is_some()
    }

    /// What waits, to be written before what comes after it.
    pub(crate) fn rows(&self) -> &Effects {
        &self.rows
    }

    /// A commit was written without them.
    pub(crate) fn add(&mut self, effects: &Effects) {
        for key in effects.activities.keys() {
            self.rows.repeats.remove(key);
        }
        for no in effects.devices.keys() {
            self.rows.heard.remove(no);
            self.rows.values.remove(&ValueKey { source_no: *no, what: What::Last, event: None });
        }
        self.rows.heard.extend(&effects.heard);
        let repeats = effects.repeats.iter().map(|(key, ongoing)| (key.clone(), ongoing.clone()));
        self.rows.repeats.extend(repeats);
        let values = effects.values.iter().filter(|(key, _)| effects.may_wait(key));
        self.rows.values.extend(values.map(|(key, value)| (key.clone(), value.clone())));
        if !self.rows.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// All is on the disk.
    pub(crate) fn written(&mut self, next_version: i64, no: i64) {
        *self = Self { written: Some(Instant::now()), ..Self::new(next_version, no) };
    }

    /// Gives what waits to whoever keeps it now.
    pub(crate) fn give(&mut self) -> Effects {
        self.since = None;
        std::mem::take(&mut self.rows)
    }
}
