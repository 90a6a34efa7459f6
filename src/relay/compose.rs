//! Converts entries and values of the outbox into the input of the renderer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::model::Record;
use crate::model::record::{AlarmRecord, DeviceRecord, SnapshotRecord};
use crate::model::value::{Card, Content, CurrentValue, LogEntry, What};
use crate::outbox::{Entry, Outbox, Reader, Value, ValueContent, ValueKey};
use crate::render::{PictureFate, Renderer, Sending};

/// Number of pictures whose outcome is remembered.
const REMEMBERED: usize = 8_192;

/// Outcomes of pictures on this sink.
#[derive(Debug, Default)]
pub(crate) struct PictureOutcomes {
    /// Pictures that are published.
    sent: HashSet<Uuid>,
    /// Names of those that are published as objects.
    objects: HashMap<Uuid, String>,
    /// Pictures that are too large for this sink.
    refused: HashSet<Uuid>,
    /// All of these, oldest first.
    order: VecDeque<Uuid>,
}

impl PictureOutcomes {
    /// Notes that a picture was published, as a message or as an object.
    pub(crate) fn sent(&mut self, picture: Uuid, object: Option<String>) {
        if let Some(object) = object {
            self.objects.insert(picture, object);
        }
        if self.sent.insert(picture) {
            self.remember(picture);
        }
    }

    /// Notes that a picture was not published after all.
    pub(crate) fn unsent(&mut self, picture: Uuid) {
        if !self.objects.contains_key(&picture) {
            self.sent.remove(&picture);
        }
    }

    /// Notes that a picture is too large for this sink.
    pub(crate) fn refused(&mut self, picture: Uuid) {
        self.sent.remove(&picture);
        if self.refused.insert(picture) {
            self.remember(picture);
        }
    }

    fn remember(&mut self, picture: Uuid) {
        self.order.push_back(picture);
        while REMEMBERED < self.order.len() {
            if let Some(oldest) = self.order.pop_front() {
                self.sent.remove(&oldest);
                self.objects.remove(&oldest);
                self.refused.remove(&oldest);
            }
        }
    }

    /// Outcome of the picture of a record.
    pub(crate) fn of(&self, snapshot: Option<&SnapshotRecord>, max_payload: Option<usize>) -> PictureFate {
        let Some((snapshot, picture)) = snapshot.and_then(|snapshot| Some((snapshot, snapshot.picture?)))
        else {
            return PictureFate::NotSent;
        };
        if let Some(object) = self.objects.get(&picture) {
            return PictureFate::Object(object.clone());
        }
        match max_payload {
            _ if self.refused.contains(&picture) => PictureFate::OverBrokerLimit,
            _ if self.sent.contains(&picture) => PictureFate::Sent,
            Some(max) if (max as u64) < snapshot.bytes => PictureFate::OverBrokerLimit,
            _ => PictureFate::NotSent,
        }
    }
}

/// Delay from which on an alarm is `replayed`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lateness {
    pub(crate) after: SignedDuration,
}

impl Lateness {
    /// Returns whether a log entry is late. Within one run the monotonic clock counts.
    pub(crate) fn entry(self, entry: &Entry, outbox: &Outbox) -> bool {
        if entry.is_replay() || entry.run == Entry::REPLAYED {
            return true;
        }
        if entry.run == outbox.run() {
            let waited = outbox.mono_ms().saturating_sub(entry.mono_ms);
            return self.after < SignedDuration::from_millis(waited);
        }
        self.wall(entry.record.at())
    }

    /// Returns whether a moment is long past by the wall clock; one in the future is from a clock that was set back
    /// since.
    pub(crate) fn wall(self, at: Timestamp) -> bool {
        self.after < crate::host::now().duration_since(at).abs()
    }
}

/// Converts a log entry for the renderer.
pub(crate) fn log_entry(entry: &Entry, picture: Option<Bytes>) -> LogEntry {
    LogEntry { no: entry.no, record: entry.record.clone(), picture }
}

/// The picture a record shows.
pub(crate) fn snapshot_of(record: &Record) -> Option<&SnapshotRecord> {
    match record {
        Record::Alarm(alarm) => alarm.snapshot.as_ref(),
        Record::Activity(activity) => activity.snapshot.as_ref().map(|best| &best.snapshot),
    }
}

/// Converts a current value for the renderer, and returns how it is sent; `None` when its data no longer exist (its
/// picture, for example).
pub(crate) fn current_value(
    key: &ValueKey,
    value: &Value,
    reader: &mut Reader,
    renderer: &Renderer,
    lateness: Lateness,
    fate: impl FnOnce(Option<&SnapshotRecord>) -> PictureFate,
) -> Option<(CurrentValue, Sending)> {
    let (content, device, sending) = match &value.held {
        ValueContent::Alarm(_, alarm) => {
            let content = alarm_content(key, alarm, reader)?;
            let sending = Sending {
                replayed: lateness.wall(alarm.received_at),
                picture: fate(alarm.snapshot.as_ref()),
            };
            (content, Some(alarm.device.clone()), sending)
        }
        ValueContent::Text(text) => {
            let sending = Sending { replayed: false, picture: PictureFate::NotSent };
            let content = match key.what {
                // The bridge's own row holds no card, because its announcement never changes.
                What::Discovery if key.source_no != 0 => Content::Discovery(serde_json::from_str(text).ok()?),
                What::Device | What::Info | What::Health => Content::Json(text.clone()),
                _ => Content::Text(text.clone()),
            };
            (content, device_of(key.source_no, reader, renderer), sending)
        }
    };
    let (what, event, version) = (key.what, key.event.clone(), value.version);
    Some((CurrentValue { source: value.source.clone(), what, event, version, device, content }, sending))
}

/// Content of a value that is made of an alarm: the alarm or its picture.
fn alarm_content(key: &ValueKey, alarm: &Arc<AlarmRecord>, reader: &Reader) -> Option<Content> {
    if key.what != What::Snapshot {
        return Some(Content::Alarm(Arc::clone(alarm)));
    }
    let picture = alarm.snapshot.as_ref()?.picture?;
    match reader.pictures().read(picture) {
        Ok(bytes) => Some(Content::Picture(Arc::clone(alarm), bytes)),
        Err(error) => {
            tracing::warn!(alarm.id = %alarm.id, "a picture cannot be read and is not published: {error}");
            None
        }
    }
}

/// The device for topic templates, if they have placeholders for it besides `{source}`.
pub(crate) fn device_of(source_no: i64, reader: &mut Reader, renderer: &Renderer) -> Option<DeviceRecord> {
    if source_no == 0 || !renderer.names_devices() {
        return None;
    }
    let key = ValueKey { source_no, what: What::Discovery, event: None };
    let value = reader.value(&key).ok()??;
    match &value.held {
        ValueContent::Text(text) => serde_json::from_str::<Card>(text).ok().map(|card| card.device),
        ValueContent::Alarm(..) => None,
    }
}
