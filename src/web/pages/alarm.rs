//! An alarm as pages show it, and the alarms of one activity as one.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::boxes::Boxes;
use super::frame::Chip;
use super::moment::{Moment, span};
use crate::model::record::{AlarmRecord, SnapshotProblem, SnapshotRecord, TimeSource};
use crate::model::{EventName, Record, Source};
use crate::outbox::{Entry, Reader};
use crate::web::Delivery;

/// A picture to show.
#[derive(Debug, Clone)]
pub(super) struct PictureView {
    pub(super) url: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// An alarm to show; of an activity, its latest one that has a picture.
#[derive(Debug)]
pub(super) struct AlarmView {
    /// Stays while the activity goes on.
    pub(super) key: Uuid,
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) device: String,
    pub(super) source: String,
    pub(super) event: String,
    pub(super) event_raw: String,
    pub(super) received: Moment,
    /// How many alarms its activity had so far.
    pub(super) alarms: u64,
    pub(super) ongoing: bool,
    pub(super) picture: Option<PictureView>,
    pub(super) boxes: Boxes,
    /// Why there is none.
    pub(super) no_picture: &'static str,
    pub(super) device_time: String,
    pub(super) count: Option<u32>,
    pub(super) regions: String,
    pub(super) delivery: Vec<Chip>,
    /// The request it came with, while that is kept.
    pub(super) request: Option<i64>,
    /// It is the one shown large.
    pub(super) shown: bool,
}

/// The alarms of one activity, as far as they are on a page.
#[derive(Debug)]
pub(super) struct Group {
    /// The one to show.
    pub(super) shown: Arc<Entry>,
    /// When its latest one came.
    latest: Timestamp,
    alarms: u64,
    ongoing: bool,
}

impl AlarmView {
    /// One alarm, seen from now.
    pub(super) fn new(alarm: &AlarmRecord, now: Timestamp) -> Self {
        let picture = alarm.snapshot.as_ref().and_then(|snapshot| picture(alarm.id, snapshot));
        let regions: Vec<String> = alarm.regions.iter().map(ToString::to_string).collect();
        Self {
            key: alarm.activity_id.unwrap_or(alarm.id),
            id: alarm.id,
            title: alarm.event.title(),
            device: alarm.device.name.clone(),
            source: alarm.source.to_string(),
            event: alarm.event.to_string(),
            event_raw: alarm.event_raw.clone(),
            received: Moment::new(alarm.received_at, now),
            alarms: alarm.repeat + 1,
            ongoing: false,
            boxes: Boxes(if picture.is_some() { alarm.boxes.clone() } else { Vec::new() }),
            no_picture: no_picture(alarm.snapshot.as_ref()),
            picture,
            device_time: device_time(alarm),
            count: alarm.count,
            regions: regions.join(", "),
            delivery: Vec::new(),
            request: None,
            shown: false,
        }
    }

    /// The alarms of an activity as one.
    pub(super) fn of_group(group: &Group, now: Timestamp) -> Option<Self> {
        let Record::Alarm(alarm) = &group.shown.record else { return None };
        let view = Self::new(alarm, now);
        Some(Self {
            received: Moment::new(group.latest, now),
            alarms: group.alarms,
            ongoing: group.ongoing,
            ..view
        })
    }
}

/// Puts alarms (newest first) that belong to one activity together; at most so many groups. Says too what number it
/// came to.
pub(super) fn grouped(alarms: Vec<Arc<Entry>>, limit: usize) -> (Vec<Group>, Option<i64>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = None;
    let mut known: HashMap<Uuid, usize> = HashMap::new();
    for entry in alarms {
        let Record::Alarm(alarm) = &entry.record else { continue };
        let key = alarm.activity_id.unwrap_or(alarm.id);
        if groups.len() == limit && !known.contains_key(&key) {
            break;
        }
        last = Some(entry.no);
        match known.get(&key).and_then(|at| groups.get_mut(*at)) {
            Some(group) if group.shown.picture().is_none() && entry.picture().is_some() => {
                group.shown = Arc::clone(&entry);
            }
            Some(_) => {}
            None => {
                known.insert(key, groups.len());
                let (latest, alarms) = (alarm.received_at, alarm.repeat + 1);
                groups.push(Group { shown: entry, latest, alarms, ongoing: false });
            }
        }
    }
    (groups, last)
}

/// Finds out which groups go on: of each device and kind the newest one, while the books say so.
///
/// # Errors
/// When the disk cannot be read.
pub(super) fn mark_ongoing(groups: &mut [Group], reader: &mut Reader) -> rusqlite::Result<()> {
    let mut ongoing: HashMap<Source, Vec<EventName>> = HashMap::new();
    for group in groups {
        let Record::Alarm(alarm) = &group.shown.record else { continue };
        if !ongoing.contains_key(&alarm.source) {
            let state = reader.device(&alarm.source)?;
            ongoing.insert(alarm.source.clone(), state.map(|state| state.ongoing).unwrap_or_default());
        }
        let left = ongoing.get_mut(&alarm.source);
        if let Some((left, at)) =
            left.and_then(|left| left.iter().position(|event| *event == alarm.event).map(|at| (left, at)))
        {
            left.remove(at);
            group.ongoing = true;
        }
    }
    Ok(())
}

/// What became of an alarm on each sink.
pub(super) fn delivery(deliveries: &[Delivery]) -> Vec<Chip> {
    let chip = |delivery: &Delivery| match delivery.state.as_str() {
        "acknowledged" if delivery.heard == Some(false) => {
            Chip::new("warn", format!("{}: delivered, nobody subscribes", delivery.sink))
        }
        "acknowledged" => Chip::new("ok", format!("{}: delivered", delivery.sink)),
        "parked" => Chip::new("bad", format!("{}: parked", delivery.sink)),
        _ => Chip::new("warn", format!("{}: waiting", delivery.sink)),
    };
    deliveries.iter().map(chip).collect()
}

/// The picture, if it is kept.
fn picture(alarm: Uuid, snapshot: &SnapshotRecord) -> Option<PictureView> {
    let (width, height) = (snapshot.width?, snapshot.height?);
    snapshot.picture.map(|_| PictureView { url: format!("/snapshots/{alarm}.jpg"), width, height })
}

/// Why there is no picture, in a few words.
fn no_picture(snapshot: Option<&SnapshotRecord>) -> &'static str {
    match snapshot.and_then(|snapshot| snapshot.problem) {
        None => "None came with it",
        Some(SnapshotProblem::Truncated) => "The connection ended before the picture did",
        Some(SnapshotProblem::TooLarge) => "It was larger than the bound",
        Some(SnapshotProblem::NotAJpeg) => "What came is no JPEG",
        Some(SnapshotProblem::Limited) => "A limit cost it",
        Some(SnapshotProblem::Dropped) => "Dropped while the disk refused writes",
        Some(SnapshotProblem::OverBrokerLimit) => "Larger than the broker takes",
    }
}

/// What the device says of the time, and how far that is from ours.
fn device_time(alarm: &AlarmRecord) -> String {
    let Some(raw) = &alarm.time_raw else { return "none was sent".into() };
    match (alarm.time_source, alarm.clock_offset_ms) {
        (TimeSource::Receipt, _) => format!("{raw}, which fits no time zone: the time of receipt counts"),
        (TimeSource::Device, Some(offset)) => {
            format!("{}, {}", alarm.time.replace('T', " "), offset_words(offset))
        }
        (TimeSource::Device, None) => alarm.time.replace('T', " "),
    }
}

/// How far a device's clock is off, in words. Within two seconds it is as good as seconds can be.
pub(super) fn offset_words(ms: i64) -> String {
    match ms {
        -2_000..=2_000 => "in step with this bridge".into(),
        ..-2_000 => format!("{} behind", span(ms.unsigned_abs())),
        _ => format!("{} ahead", span(ms.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    #[test]
    fn alarms_of_one_activity_are_one_group() {
        let alarm = testing::person();
        let entry = |no, activity: u128| {
            let alarm = AlarmRecord {
                id: Uuid::from_u128(no),
                activity_id: Some(Uuid::from_u128(activity)),
                repeat: 3,
                ..alarm.clone()
            };
            Arc::new(Entry::new(i64::try_from(no).unwrap(), 1, Record::Alarm(Arc::new(alarm))))
        };
        let (groups, last) = grouped(vec![entry(9, 1), entry(8, 2), entry(7, 1), entry(6, 3)], 2);
        assert_eq!((groups.len(), last), (2, Some(7)));
        assert_eq!((groups[0].shown.no, groups[0].alarms), (9, 4));
    }

    #[test]
    fn the_offset_of_a_clock_is_told_in_words() {
        assert_eq!(offset_words(-1_104), "in step with this bridge");
        assert_eq!(offset_words(-65_000), "65.0 s behind");
        assert_eq!(offset_words(7_200_000), "2 h ahead");
    }
}
