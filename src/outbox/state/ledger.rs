//! The ledger: devices, numbers and activities in memory. It turns reports into [`Effects`]; no I/O, no clock of its
//! own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use uuid::Uuid;

mod activities;
mod admission;
mod alarm;
mod clock;
mod devices;
mod mutes;
mod redo;
mod repeated;

use super::device::Device;
use super::value::{Value, ValueContent, ValueKey};
use crate::activity::{Activities, ActivityKey, Now};
use crate::findings::{FindingCode, Findings};
use crate::model::device::identity::identify;
use crate::model::record::{SnapshotProblem, SnapshotRecord};
use crate::model::{Picture, Record, ReportedState, Source};
use crate::outbox::Submission;
use crate::outbox::effects::Effects;
use crate::outbox::log::entry::{Entry, PictureRow};
use crate::outbox::settings::WriterSettings;
use alarm::StoredReport;
use repeated::{Again, Repeated};

/// Unix time before which no bridge ran. A clock before it is not set yet, and no zone is learned from it.
const EARLIEST_TIME: i64 = 1_795_000_000;
/// Interval at which an unchanged device value is published again to renew its `last_heard`.
const RENEW_INTERVAL: Duration = Duration::from_secs(60);

/// Ledger state: devices, numbers and activities.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    /// The settings.
    pub(crate) settings: Arc<WriterSettings>,
    /// Findings about devices.
    pub(crate) findings: Findings,
    /// Known devices.
    pub(crate) devices: HashMap<Source, Device>,
    /// Activities in progress.
    pub(crate) activities: Activities,
    /// Time at which the next mute ends.
    pub(crate) next_unmute: Option<Timestamp>,
    /// Number of the next entry.
    pub(crate) next_no: i64,
    /// Version of the next value.
    pub(crate) next_version: i64,
    /// Number of the next device.
    pub(crate) next_device: i64,
    /// Highest `seq` used by any source.
    pub(crate) highest_seq: u64,
    /// Minimum of the next `seq` of every source: lower ones may have been used by an earlier database.
    pub(crate) seq_floor: u64,
    /// Highest `seq` of the devices that were removed.
    pub(crate) removed_seq: u64,
    /// This run of the process, for the monotonic receipt times of entries.
    pub(crate) run: i64,
    /// Identifiers for the alarms of the next report, if they are already assigned.
    pub(crate) given: Vec<Option<Uuid>>,
    /// Time at which the value of each device was last published, since the start.
    renewed: HashMap<i64, Duration>,
    /// Times at which devices were made within the last hour, since the start.
    newcomers: VecDeque<Duration>,
    /// Devices that `limits.known_devices_only` turned away and that have a finding of their own.
    unknown_devices: HashSet<Source>,
    /// Events that a device may send more than once.
    repeated: Repeated,
    /// Activities that ended recently, whose end may be sent again.
    over: HashSet<ActivityKey>,
    /// Number of ends without a start.
    pub(crate) ends_without_start: Counter,
}

impl Ledger {
    /// An empty ledger.
    pub(crate) fn new(settings: Arc<WriterSettings>, findings: Findings, run: i64) -> Self {
        Self {
            settings,
            findings,
            devices: HashMap::new(),
            activities: Activities::default(),
            next_unmute: None,
            next_no: 1,
            next_version: 1,
            next_device: 1,
            highest_seq: 0,
            seq_floor: 0,
            removed_seq: 0,
            run,
            given: Vec::new(),
            renewed: HashMap::new(),
            newcomers: VecDeque::new(),
            unknown_devices: HashSet::new(),
            repeated: Repeated::default(),
            over: HashSet::new(),
            ends_without_start: Counter::default(),
        }
    }

    /// Applies a report. Returns the identifiers of its alarms, in order.
    pub(crate) fn submit(
        &mut self,
        submission: &mut Submission,
        stored: &[Option<Uuid>],
        at: Now,
        effects: &mut Effects,
    ) -> Vec<Uuid> {
        let pictures = pictures(submission, stored);
        let alarms = std::mem::take(&mut submission.alarms);
        let first = effects.log.entries.len();
        let mut ids = Vec::with_capacity(alarms.len());
        let given = std::mem::take(&mut self.given);
        for (index, alarm) in alarms.into_iter().enumerate() {
            let settings = Arc::clone(&self.settings);
            let identity = identify(&alarm.device, submission.peer, |key| settings.alias(key));
            let (at, late) = self.clock_of(&identity.source, at);
            if alarm.state == Some(ReportedState::End) {
                let received_at = late.then_some(submission.received_at);
                self.ended_by_device(&identity.source, alarm.event, (at, received_at), effects);
                self.heard(&identity.source, submission, effects);
                continue;
            }
            let again = self.repeated.again(&identity.source, &alarm, at);
            if again == Again::Repeat {
                self.heard(&identity.source, submission, effects);
                continue;
            }
            let Some(admitted) = self.admit(identity, &alarm, at, effects) else { continue };
            let given = given.get(index).copied().flatten();
            let adds_picture = again == Again::Picture;
            let before = ids.len();
            let report =
                StoredReport { submission, pictures: &pictures, at, before, adds_picture, given, late };
            ids.extend(self.alarm(alarm, &admitted, &report, effects));
        }
        for device in std::mem::take(&mut submission.heard) {
            let settings = Arc::clone(&self.settings);
            if device.is_unidentified() {
                self.heard_peer(submission, effects);
                continue;
            }
            let identity = identify(&device, submission.peer, |key| settings.alias(key));
            if !self.devices.contains_key(&identity.source) {
                let who = device.name.as_deref().unwrap_or(&device.vendor);
                let detail = format!("a sign of life or a test of {who}, which has sent no alarm yet");
                self.findings.raise(FindingCode::NoEvents, identity.source.as_str(), &detail);
            }
            self.heard(&identity.source, submission, effects);
        }
        keep_pictures(submission, stored, first, effects);
        ids
    }

    /// Notes that a known device was heard.
    fn heard(&mut self, source: &Source, submission: &Submission, effects: &mut Effects) {
        if let Some(device) = self.devices.get_mut(source) {
            let heard_ms = submission.received_at.as_millisecond();
            let clustered = self.settings.clustered;
            device.last_heard_ms = if clustered { heard_ms.max(device.last_heard_ms) } else { heard_ms };
            self.keep_counters(source, effects);
        }
    }

    /// Notes that the devices of an address were heard, for a request that does not identify its device.
    fn heard_peer(&mut self, submission: &Submission, effects: &mut Effects) {
        let address = submission.peer.to_canonical().to_string();
        let of_peer = self.devices.iter().filter(|(_, device)| device.ip.as_ref() == Some(&address));
        let sources: Vec<Source> = of_peer.map(|(source, _)| source.clone()).collect();
        if sources.is_empty() {
            let detail =
                format!("a request from {address} says nothing, and no device is known by this address");
            self.findings.raise(FindingCode::NoEvents, &address, &detail);
        }
        for source in sources {
            self.heard(&source, submission, effects);
        }
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
        effects.log.entries.push(Arc::new(Entry {
            no: self.next_no,
            source_no,
            run,
            mono_ms,
            record,
            body,
            replay_for: None,
        }));
        self.next_no += 1;
    }

    /// Changes a current value.
    pub(crate) fn value(
        &mut self,
        key: ValueKey,
        source: &Source,
        held: ValueContent,
        effects: &mut Effects,
    ) {
        let source = (key.source_no != 0).then(|| source.clone());
        let value = Value { version: self.next_version, source, held };
        self.next_version += 1;
        effects.state.values.insert(key, Some(Arc::new(value)));
    }

    /// Gives values new versions, in their order, after all versions used so far.
    pub(crate) fn renumber_values(&mut self, effects: &mut Effects) {
        let mut changed: Vec<&mut Arc<Value>> = effects.state.values.values_mut().flatten().collect();
        changed.sort_by_key(|value| value.version);
        for value in changed {
            let renumbered = Value { version: self.next_version, ..Value::clone(value) };
            *value = Arc::new(renumbered);
            self.next_version += 1;
        }
    }
}

/// Pictures of a report as the log refers to them.
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

/// Notes the pictures that an entry since `first` refers to; the others are to be deleted.
fn keep_pictures(submission: &Submission, stored: &[Option<Uuid>], first: usize, effects: &mut Effects) {
    for (picture, id) in submission.pictures.iter().zip(stored) {
        let Some(id) = *id else { continue };
        if effects.log.entries.iter().skip(first).any(|entry| entry.picture() == Some(id)) {
            effects.log.pictures.push(PictureRow { id, at: submission.received_at, bytes: picture.bytes });
        } else {
            effects.log.unwanted.push(id);
        }
    }
}
