//! View of an alarm, and grouping of alarms by activity and report.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::frame::Chip;
use super::frame::moment::{Moment, span};
use crate::model::record::{AlarmRecord, SnapshotProblem, SnapshotRecord, TimeSource};
use crate::model::{EventName, Record, Source};
use crate::outbox::{Entry, Reader};
use crate::web::texts::{fill, tr, tr_any};
use crate::web::{Delivery, DeliveryState};
use boxes::Boxes;

pub(super) mod around;
pub(super) mod boxes;

/// A picture to show.
#[derive(Debug, Clone)]
pub(super) struct PictureView {
    pub(super) url: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// An alarm to show; of an activity, its latest alarm with a picture.
#[derive(Debug)]
pub(super) struct AlarmView {
    /// Key of the HTML element, which stays the same during an activity.
    pub(super) key: Uuid,
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) device: String,
    pub(super) source: String,
    pub(super) event: String,
    pub(super) event_raw: String,
    pub(super) received: Moment,
    /// Number of alarms of its activity so far.
    pub(super) alarms: u64,
    pub(super) ongoing: bool,
    pub(super) picture: Option<PictureView>,
    pub(super) boxes: Boxes,
    /// Reason why there is no picture.
    pub(super) no_picture: &'static str,
    pub(super) device_time: String,
    pub(super) count: Option<u32>,
    pub(super) regions: String,
    /// Details of the detected object as text.
    pub(super) details: String,
    pub(super) delivery: Vec<Chip>,
    /// Number of the request that reported it, while that is stored.
    pub(super) request: Option<i64>,
    /// Set for the alarm that is shown large.
    pub(super) shown: bool,
    /// Somebody marked it as reviewed; of a report, all of its alarms.
    pub(super) reviewed: bool,
}

/// Alarms of one activity that are on a page.
#[derive(Debug)]
pub(super) struct Group {
    /// The alarm to show.
    pub(super) shown: Arc<Entry>,
    /// Time of receipt of the latest alarm.
    latest: Timestamp,
    alarms: u64,
    ongoing: bool,
    /// Kinds of its latest report, the last one first.
    kinds: Vec<EventName>,
}

impl Group {
    /// Returns whether an alarm belongs to the latest report of the group.
    fn is_of(&self, alarm: &AlarmRecord) -> bool {
        self.latest == alarm.received_at && *self.shown.record.source() == alarm.source
    }
}

/// The alarm of an entry.
fn alarm_of(entry: &Entry) -> Option<&AlarmRecord> {
    match &entry.record {
        Record::Alarm(alarm) => Some(alarm),
        Record::Activity(_) => None,
    }
}

/// Titles of kinds, each once; motion, the least specific, is last.
fn titles(all: impl Iterator<Item = String>) -> String {
    let mut titles: Vec<String> = Vec::new();
    for title in all {
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    titles.sort_by_key(|title| title == "Motion");
    titles.iter().map(|title| tr_any(title)).collect::<Vec<_>>().join(", ")
}

/// Groups alarms (newest first) by report.
pub(super) fn reports(alarms: Vec<Arc<Entry>>) -> Vec<Vec<Arc<Entry>>> {
    let key = |entry: &Entry| alarm_of(entry).map(|alarm| (alarm.source.clone(), alarm.received_at));
    let mut reports: Vec<Vec<Arc<Entry>>> = Vec::new();
    for entry in alarms {
        match reports.last_mut() {
            Some(report) if report.first().and_then(|first| key(first)) == key(&entry) => report.push(entry),
            _ => reports.push(vec![entry]),
        }
    }
    reports
}

/// Details with a single word or number as `name value`.
fn details(alarm: &AlarmRecord) -> String {
    let word = |(name, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => Some(format!("{name} {text}")),
        serde_json::Value::Number(number) => Some(format!("{name} {number}")),
        _ => None,
    };
    let words: Vec<String> = alarm.details.iter().filter_map(word).take(4).collect();
    words.join(" · ")
}

impl AlarmView {
    /// View of one alarm.
    pub(super) fn new(alarm: &AlarmRecord, now: Timestamp) -> Self {
        let picture = alarm.snapshot.as_ref().and_then(|snapshot| picture(alarm.id, snapshot));
        let regions: Vec<String> = alarm.regions.iter().map(ToString::to_string).collect();
        Self {
            key: alarm.activity_id.unwrap_or(alarm.id),
            id: alarm.id,
            title: tr_any(&alarm.event.title()),
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
            details: details(alarm),
            delivery: Vec::new(),
            request: None,
            shown: false,
            reviewed: false,
        }
    }

    /// Title of the page of this alarm.
    pub(super) fn page_title(&self) -> String {
        format!("{} {} {}", self.title, tr("at"), self.device)
    }

    /// View of the alarms of one report (newest first).
    pub(super) fn of_report(report: &[Arc<Entry>], now: Timestamp) -> Option<Self> {
        let alarms = || report.iter().rev().filter_map(|entry| alarm_of(entry));
        let pictured =
            || alarms().find(|alarm| alarm.snapshot.as_ref().is_some_and(|it| it.picture.is_some()));
        let view = Self::new(pictured().or_else(|| alarms().next())?, now);
        let boxes = Boxes(if view.picture.is_some() {
            alarms().flat_map(|alarm| alarm.boxes.iter().copied()).collect()
        } else {
            Vec::new()
        });
        Some(Self { title: titles(alarms().map(|alarm| alarm.event.title())), boxes, ..view })
    }

    /// View of the alarms of one activity.
    pub(super) fn of_group(group: &Group, now: Timestamp) -> Option<Self> {
        let Record::Alarm(alarm) = &group.shown.record else { return None };
        let view = Self::new(alarm, now);
        Some(Self {
            received: Moment::new(group.latest, now),
            alarms: group.alarms,
            ongoing: group.ongoing,
            title: titles(group.kinds.iter().rev().map(EventName::title)),
            ..view
        })
    }
}

/// Groups alarms (newest first) by activity, at most `limit` groups. Returns the last number it used as well.
pub(super) fn grouped(alarms: Vec<Arc<Entry>>, limit: usize) -> (Vec<Group>, Option<i64>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = None;
    let mut known: HashMap<Uuid, usize> = HashMap::new();
    for entry in alarms {
        let Record::Alarm(alarm) = &entry.record else { continue };
        let own = alarm.activity_id.unwrap_or(alarm.id);
        // Alarms of different kinds in one report share a card, as long as each later report repeats these kinds.
        let beside = groups.iter().position(|group| group.is_of(alarm)).filter(|_| !known.contains_key(&own));
        if let Some((at, group)) = beside.and_then(|at| Some((at, groups.get_mut(at)?))) {
            known.insert(own, at);
            last = Some(entry.no);
            group.kinds.push(alarm.event.clone());
            if group.shown.picture().is_none() && entry.picture().is_some() {
                group.shown = Arc::clone(&entry);
            }
            continue;
        }
        let key = own;
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
                let kinds = vec![alarm.event.clone()];
                groups.push(Group { shown: entry, latest, alarms, ongoing: false, kinds });
            }
        }
    }
    (groups, last)
}

/// Marks the groups in progress: of each device and kind the newest one, while its activity is in progress.
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

/// Delivery state of an alarm on each sink.
pub(super) fn delivery(deliveries: &[Delivery]) -> Vec<Chip> {
    let chip = |delivery: &Delivery| match delivery.state {
        DeliveryState::Acknowledged if delivery.heard == Some(false) => {
            Chip::new("warn", fill("{}: delivered, nobody subscribes", &delivery.sink))
        }
        DeliveryState::Acknowledged => Chip::new("ok", fill("{}: delivered", &delivery.sink)),
        DeliveryState::Parked => Chip::new("bad", fill("{}: parked", &delivery.sink)),
        DeliveryState::Waiting => Chip::new("warn", fill("{}: waiting", &delivery.sink)),
        DeliveryState::LeftOut => Chip::new("idle", fill("{}: left out by its settings", &delivery.sink)),
    };
    deliveries.iter().map(chip).collect()
}

/// The picture, if it is stored.
fn picture(alarm: Uuid, snapshot: &SnapshotRecord) -> Option<PictureView> {
    let (width, height) = (snapshot.width?, snapshot.height?);
    snapshot.picture.map(|_| PictureView { url: format!("/snapshots/{alarm}.jpg"), width, height })
}

/// Reason why there is no picture, in a few words.
fn no_picture(snapshot: Option<&SnapshotRecord>) -> &'static str {
    match snapshot.and_then(|snapshot| snapshot.problem) {
        None => tr("No picture sent"),
        Some(SnapshotProblem::Truncated) => tr("The connection ended before the picture did"),
        Some(SnapshotProblem::TooLarge) => tr("Picture larger than limits.body_bytes"),
        Some(SnapshotProblem::NotAJpeg) => tr("What came is no JPEG"),
        Some(SnapshotProblem::Limited) => tr("A limit cost it"),
        Some(SnapshotProblem::Dropped) => tr("Dropped while the disk refused writes"),
        Some(SnapshotProblem::OverBrokerLimit) => tr("Larger than the broker takes"),
    }
}

/// Time reported by the device, and its difference from the time of receipt.
fn device_time(alarm: &AlarmRecord) -> String {
    let Some(raw) = &alarm.time_raw else { return tr("none was sent").into() };
    match (alarm.time_source, alarm.clock_offset_ms) {
        (TimeSource::Receipt, _) => fill("{}, which is unusable: the time of receipt counts", raw),
        (TimeSource::Device, Some(offset)) => {
            format!("{}, {}", alarm.time.replace('T', " "), offset_words(offset))
        }
        (TimeSource::Device, None) => alarm.time.replace('T', " "),
    }
}

/// Offset of a device's clock in words. Two seconds are within the resolution of the reported times.
pub(super) fn offset_words(ms: i64) -> String {
    match ms {
        -2_000..=2_000 => tr("clock correct").into(),
        ..-2_000 => fill("{} behind", span(ms.unsigned_abs())),
        _ => fill("{} ahead", span(ms.unsigned_abs())),
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
                received_at: alarm.received_at + jiff::SignedDuration::from_secs(i64::try_from(no).unwrap()),
                ..alarm.clone()
            };
            Arc::new(Entry::new(i64::try_from(no).unwrap(), 1, Record::Alarm(Arc::new(alarm))))
        };
        let (groups, last) = grouped(vec![entry(9, 1), entry(8, 2), entry(7, 1), entry(6, 3)], 2);
        assert_eq!((groups.len(), last), (2, Some(7)));
        assert_eq!((groups[0].shown.no, groups[0].alarms), (9, 4));
    }

    #[test]
    fn alarms_of_one_report_are_one_card() {
        let person = testing::person();
        let entry = |no, event: &str, at: u32| {
            let received_at = person.received_at + jiff::SignedDuration::from_secs(at.into());
            let (event, id, activity_id) =
                (EventName::new(event), Uuid::from_u128(no), Some(Uuid::from_u128(no)));
            let alarm = AlarmRecord { id, event, activity_id, received_at, ..person.clone() };
            Arc::new(Entry::new(i64::try_from(no).unwrap(), 1, Record::Alarm(Arc::new(alarm))))
        };
        let alarms = vec![entry(9, "motion", 5), entry(8, "person", 5), entry(7, "motion", 0)];
        let (groups, last) = grouped(alarms.clone(), 5);
        assert_eq!((groups.len(), last), (2, Some(7)));
        let view = AlarmView::of_group(&groups[0], person.received_at).unwrap();
        assert_eq!(view.title, "Person, Motion");
        let reports = reports(alarms);
        assert_eq!(reports.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(AlarmView::of_report(&reports[0], person.received_at).unwrap().title, "Person, Motion");
    }

    #[test]
    fn the_offset_of_a_clock_is_told_in_words() {
        assert_eq!(offset_words(-1_104), "clock correct");
        assert_eq!(offset_words(-65_000), "65.0 s behind");
        assert_eq!(offset_words(7_200_000), "2 h ahead");
    }
}
