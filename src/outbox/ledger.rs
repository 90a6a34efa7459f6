//! The books: devices, numbers, activities. Turns what comes in into [`Effects`]; no I/O, no clock of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

mod activities;
mod admission;
mod alarm;
mod devices;

use super::Submission;
use super::device::Device;
use super::effects::{Effects, Entry, Held, PictureRow, Value, ValueKey};
use super::settings::Settings;
use crate::activity::{Activities, Now};
use crate::findings::Findings;
use crate::model::identity::identify;
use crate::model::record::{SnapshotProblem, SnapshotRecord};
use crate::model::{Picture, Record, Source};
use alarm::Report;

/// No bridge ran before this; a clock that says so is not set yet, and no zone is learned from it.
const BUILT: i64 = 1_795_000_000;
/// How often an unchanged device value is renewed for its `last_heard`.
const RENEW: Duration = Duration::from_secs(60);

/// Devices, numbers and activities.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) settings: Arc<Settings>,
    pub(crate) findings: Findings,
    pub(crate) devices: HashMap<Source, Device>,
    pub(crate) activities: Activities,
    pub(crate) next_no: i64,
    pub(crate) next_version: i64,
    pub(crate) next_device: i64,
    /// This run of the process, for the monotonic receipt times of entries.
    pub(crate) run: i64,
    renewed: HashMap<i64, Duration>,
    newcomers: VecDeque<Duration>,
    /// Who was turned away by limits.known_devices_only, as far as they are told apart.
    strangers: HashSet<Source>,
}

impl Ledger {
    /// Empty books.
    pub(crate) fn new(settings: Arc<Settings>, findings: Findings, run: i64) -> Self {
        Self {
            settings,
            findings,
            devices: HashMap::new(),
            activities: Activities::default(),
            next_no: 1,
            next_version: 1,
            next_device: 1,
            run,
            renewed: HashMap::new(),
            newcomers: VecDeque::new(),
            strangers: HashSet::new(),
        }
    }

    /// Takes a report in; the identifiers of its alarms, in order.
    pub(crate) fn submit(
        &mut self,
        submission: &mut Submission,
        stored: &[Option<Uuid>],
        at: Now,
        effects: &mut Effects,
    ) -> Vec<Uuid> {
        let pictures = pictures(submission, stored);
        let alarms = std::mem::take(&mut submission.alarms);
        let first = effects.entries.len();
        let mut ids = Vec::with_capacity(alarms.len());
        for alarm in alarms {
            let settings = Arc::clone(&self.settings);
            let identity = identify(&alarm.device, submission.peer, |key| settings.alias(key));
            let Some(admitted) = self.admit(identity, &alarm, at, effects) else { continue };
            let report = Report { submission, pictures: &pictures, at, before: ids.len() };
            ids.extend(self.alarm(alarm, &admitted, &report, effects));
        }
        keep_pictures(submission, stored, first, effects);
        ids
    }

    /// Adds a row to the log.
    pub(crate) fn entry(
        &mut self,
        record: Record,
        source_no: i64,
        mono: Duration,
        run: i64,
        effects: &mut Effects,
    ) {
        let body = serde_json::to_string(&record).unwrap_or_default();
        let mono_ms = i64::try_from(mono.as_millis()).unwrap_or(i64::MAX);
        effects.entries.push(Arc::new(Entry {
            no: self.next_no,
            source_no,
            run,
            mono_ms,
            record,
            body,
            again: None,
        }));
        self.next_no += 1;
    }

    /// Changes a current value.
    pub(crate) fn value(&mut self, key: ValueKey, source: &Source, held: Held, effects: &mut Effects) {
        let source = (key.source_no != 0).then(|| source.clone());
        let value = Value { version: self.next_version, source, held };
        self.next_version += 1;
        effects.values.insert(key, Some(Arc::new(value)));
    }

    /// Gives values new versions, in their order: they come after whatever was said meanwhile.
    pub(crate) fn renumber_values(&mut self, effects: &mut Effects) {
        let mut changed: Vec<&mut Arc<Value>> = effects.values.values_mut().flatten().collect();
        changed.sort_by_key(|value| value.version);
        for value in changed {
            let renumbered = Value { version: self.next_version, ..Value::clone(value) };
            *value = Arc::new(renumbered);
            self.next_version += 1;
        }
    }
}

/// The pictures of a report as the log refers to them.
fn pictures(submission: &Submission, stored: &[Option<Uuid>]) -> Vec<SnapshotRecord> {
    let kept = |(picture, id): (&Picture, &Option<Uuid>)| SnapshotRecord {
        picture: *id,
        bytes: picture.bytes,
        sha256: picture.sha256.clone(),
        width: picture.dimensions.map(|size| size.width),
        height: picture.dimensions.map(|size| size.height),
        problem: picture.problem.or(if id.is_none() { Some(SnapshotProblem::Dropped) } else { None }),
    };
    submission.pictures.iter().zip(stored).map(kept).collect()
}

/// The rows of the pictures that an entry since `first` refers to; the others go again.
fn keep_pictures(submission: &Submission, stored: &[Option<Uuid>], first: usize, effects: &mut Effects) {
    for (picture, id) in submission.pictures.iter().zip(stored) {
        let Some(id) = *id else { continue };
        if effects.entries.iter().skip(first).any(|entry| entry.picture() == Some(id)) {
            effects.pictures.push(PictureRow { id, at: submission.received_at, bytes: picture.bytes });
        } else {
            effects.unwanted.push(id);
        }
    }
}
