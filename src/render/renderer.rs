//! The renderer of one sink: records and current values in, messages out.

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use super::memo::Memo;
use super::payload::{ActivityJson, AlarmJson, SnapshotJson};
use super::settings::{Names, PictureFate, RenderError, RenderSettings, Sending, is_web_address};
use super::topics::TopicSet;
use super::url as picture_url;
use super::{Content, CurrentValue, LogEntry, Message, Part, What};
use crate::homeassistant::{Announcement, Card, Discovery, Removed, Topic};
use crate::model::clock::utc;
use crate::model::record::{ActivityPhase, DeviceRecord, Record, SnapshotProblem, SnapshotRecord};
use crate::model::{ActivityRecord, AlarmRecord, EventName, Source};

/// JSON.
const JSON: &str = "application/json";
/// ON, OFF, numbers, online, offline.
const TEXT: &str = "text/plain";
/// Pictures.
const JPEG: &str = "image/jpeg";
/// Which current value, without its content.
#[derive(Debug, Clone, Copy)]
pub struct ValueKey<'a> {
    /// Whose it is; `None`: the bridge's own.
    pub source: Option<&'a Source>,
    /// Which.
    pub what: What,
    /// Of which kind, where it is kept by kind.
    pub event: Option<&'a EventName>,
    /// The device, for topics that name more of it than its source.
    pub device: Option<&'a DeviceRecord>,
}

impl<'a> From<&'a CurrentValue> for ValueKey<'a> {
    fn from(value: &'a CurrentValue) -> Self {
        Self {
            source: value.source.as_ref(),
            what: value.what,
            event: value.event.as_ref(),
            device: value.device.as_ref(),
        }
    }
}

/// Renders for one sink. Pure: the same input gives the same messages.
#[derive(Debug, Clone)]
pub struct Renderer {
    pub(super) topics: TopicSet,
    /// Public address and secret; both, or no picture has an address.
    urls: Option<(String, [u8; 32])>,
    /// How topics are spelled inside documents.
    names: Names,
    /// The latest pictures are published.
    latest: bool,
    /// Every picture is published.
    each: bool,
    pub(super) discovery: Option<Discovery>,
    /// What was rendered a moment ago.
    memo: Memo,
}

impl Renderer {
    /// Checks the settings and prepares everything that is the same for all messages.
    ///
    /// # Errors
    /// When a topic is invalid or could collide, or an address or identifier is none.
    pub fn new(settings: RenderSettings) -> Result<Self, RenderError> {
        settings.check()?;
        let homeassistant = settings.homeassistant.filter(|homeassistant| homeassistant.enabled);
        let prefix = homeassistant.as_ref().map(|homeassistant| homeassistant.discovery_topic.as_str());
        let topics = TopicSet::new(&settings.base, &settings.bridge, &settings.topics, prefix)
            .map_err(RenderError::Topics)?;
        let discovery = homeassistant.map(|homeassistant| Discovery {
            homeassistant,
            instance: settings.instance,
            label: settings.bridge.strip_prefix("bridge-").map(Into::into),
            version: settings.version,
            support_url: settings.support_url.filter(|text| is_web_address(text)),
            public_url: settings.public_url.clone(),
        });
        Ok(Self {
            topics,
            urls: settings.public_url.zip(settings.snapshot_key),
            names: settings.names,
            latest: settings.snapshots.enabled && settings.snapshots.latest,
            each: settings.snapshots.enabled && settings.snapshots.each,
            discovery,
            memo: Memo::default(),
        })
    }

    /// The messages of a log record, in the order they are to be sent: a picture goes before its event.
    #[must_use]
    pub fn log(&self, entry: &LogEntry, sending: &Sending) -> Vec<Message> {
        match &entry.record {
            Record::Alarm(alarm) => {
                let picture = self.each_picture(alarm, entry.picture.as_ref(), sending);
                let event = self.event(alarm, sending, picture.is_some());
                picture.into_iter().chain([event]).collect()
            }
            Record::Activity(activity) => vec![self.activity(activity, sending)],
        }
    }

    /// The retained message of a current value; `None` when this sink does not carry it.
    #[must_use]
    pub fn value(&self, value: &CurrentValue, sending: &Sending) -> Option<Message> {
        if value.what == What::Discovery {
            return match (&value.source, &value.content) {
                (None, _) => self.announce_bridge(),
                (Some(_), Content::Discovery(card)) => self.announce(card, &[]),
                (Some(_), _) => None,
            };
        }
        let topic = self.topic(&ValueKey::from(value))?;
        let (payload, content_type, alarm) = match &value.content {
            Content::Text(text) => (Bytes::copy_from_slice(text.as_bytes()), TEXT, None),
            Content::Json(text) => (Bytes::copy_from_slice(text.as_bytes()), JSON, None),
            Content::Alarm(alarm) => (self.alarm_json(alarm, sending, false), JSON, Some(alarm)),
            Content::Picture(alarm, bytes) => (bytes.clone(), JPEG, Some(alarm)),
            Content::Discovery(_) => return None,
        };
        let picture = matches!(value.content, Content::Picture(..));
        let snapshot = alarm.and_then(|alarm| alarm.snapshot.as_ref()).filter(|_| picture);
        Some(Message {
            id: alarm.map(|alarm| alarm.id),
            event: alarm.map(|alarm| alarm.event.clone()).or_else(|| value.event.clone()),
            time: alarm.map(|alarm| alarm.time.clone()),
            sha256: snapshot.and_then(|snapshot| snapshot.sha256.clone()),
            ..retained(topic, payload, content_type)
        })
    }

    /// The topic of a current value; `None` when this sink does not carry it.
    #[must_use]
    pub fn topic(&self, key: &ValueKey<'_>) -> Option<String> {
        match (key.source, key.what) {
            (None, What::Info) => Some(self.topics.bridge("info")),
            (None, What::Health) => Some(self.topics.bridge("health")),
            (None, What::Discovery) => self.discovery.as_ref().map(Discovery::bridge_topic),
            (None, _) => None,
            (Some(source), What::Discovery) if *source == Source::unlisted() => None,
            (Some(source), What::Discovery) => {
                self.discovery.as_ref().map(|discovery| discovery.device_topic(source))
            }
            (Some(_), What::Snapshot | What::SnapshotInfo) if !self.latest => None,
            (Some(source), what) => self.topics.value(what, source, key.event, key.device),
        }
    }

    /// Whether a topic names more of a device than its source.
    #[must_use]
    pub fn names_devices(&self) -> bool {
        self.topics.names_devices()
    }

    /// The announcement of a device; `removed` are components announced before and now left out.
    #[must_use]
    pub fn announce(&self, card: &Card, removed: &[Removed]) -> Option<Message> {
        let discovery = self.discovery.as_ref().filter(|_| card.source != Source::unlisted())?;
        let announcement = discovery.device(card, removed, &|topic, event| self.shown(card, topic, event));
        Some(announced(discovery.device_topic(&card.source), &announcement))
    }

    /// The announcement of the bridge itself; to be sent before those of its devices.
    #[must_use]
    pub fn announce_bridge(&self) -> Option<Message> {
        let discovery = self.discovery.as_ref()?;
        let announcement = discovery.bridge(&|topic| self.topics.bridge(topic));
        Some(announced(discovery.bridge_topic(), &announcement))
    }

    /// The device a discovery topic announces; `None` for any other topic. (Home Assistant empties it to delete one.)
    #[must_use]
    pub fn announced_source(&self, topic: &str) -> Option<Source> {
        self.discovery.as_ref()?.source_of(topic)
    }

    /// `online` or `offline`, retained: the birth, the will, and what a clean stop says.
    #[must_use]
    pub fn bridge_state(&self, online: bool) -> Message {
        let word = if online { "online" } else { "offline" };
        retained(self.topics.bridge("state"), Bytes::from_static(word.as_bytes()), TEXT)
    }

    /// The changing word by which a lost retained store is noticed.
    #[must_use]
    pub fn bridge_token(&self, token: &str) -> Message {
        retained(self.topics.bridge("token"), Bytes::copy_from_slice(token.as_bytes()), TEXT)
    }

    /// The topic of something Home Assistant is shown of a device; `None` when it is not published.
    fn shown(&self, card: &Card, topic: Topic, event: Option<&EventName>) -> Option<String> {
        let what = match topic {
            Topic::Events => return Some(self.topics.events(&card.source, Some(&card.device))),
            Topic::Event => {
                let (source, device) = (&card.source, &card.device);
                return event.map(|event| self.topics.event_filter(source, event, device));
            }
            Topic::Bridge => return Some(self.topics.bridge("state")),
            Topic::State => What::State,
            Topic::Count => What::Count,
            Topic::Snapshot => What::Snapshot,
            Topic::SnapshotInfo => What::SnapshotInfo,
            Topic::Last => What::Last,
            Topic::Device => What::Device,
        };
        self.topic(&ValueKey { source: Some(&card.source), what, event, device: Some(&card.device) })
    }

    /// The event message of an alarm. `apart`: its picture is published by itself just before.
    fn event(&self, alarm: &AlarmRecord, sending: &Sending, apart: bool) -> Message {
        Message {
            topic: self.topics.event(&alarm.source, &alarm.event, alarm.id, &alarm.device),
            payload: self.alarm_json(alarm, sending, apart),
            retain: false,
            content_type: JSON,
            part: Part::Event,
            id: Some(alarm.id),
            event: Some(alarm.event.clone()),
            time: Some(alarm.time.clone()),
            sha256: None,
            again: None,
        }
    }

    /// The picture of an alarm as a message of the log, where every picture is published and the broker takes it.
    fn each_picture(&self, alarm: &AlarmRecord, bytes: Option<&Bytes>, sending: &Sending) -> Option<Message> {
        let bytes = bytes.filter(|_| self.each && sending.picture != PictureFate::OverBrokerLimit)?;
        Some(Message {
            topic: self.topics.picture(&alarm.source, &alarm.event, alarm.id, &alarm.device),
            payload: bytes.clone(),
            retain: false,
            content_type: JPEG,
            part: Part::Picture,
            id: Some(alarm.id),
            event: Some(alarm.event.clone()),
            time: Some(alarm.time.clone()),
            sha256: alarm.snapshot.as_ref().and_then(|snapshot| snapshot.sha256.clone()),
            again: None,
        })
    }

    /// The message of an activity's start or end.
    fn activity(&self, activity: &ActivityRecord, sending: &Sending) -> Message {
        let shot = activity.snapshot.as_ref().map(|best| {
            let (source, event, device) = (&activity.source, &activity.event, &activity.device);
            self.snapshot(&Shot { source, event, device, alarm: best.alarm }, &best.snapshot, sending, false)
        });
        Message {
            topic: self.topics.activity(&activity.source, &activity.event, activity.id, &activity.device),
            payload: json(&ActivityJson::new(activity, sending.replayed, shot)),
            retain: false,
            content_type: JSON,
            part: match activity.phase {
                ActivityPhase::Start => Part::ActivityStart,
                ActivityPhase::End => Part::ActivityEnd,
            },
            id: Some(activity.id),
            event: Some(activity.event.clone()),
            time: Some(utc(activity.ended.unwrap_or(activity.started))),
            sha256: None,
            again: None,
        }
    }

    /// The published JSON of an alarm.
    fn alarm_json(&self, alarm: &AlarmRecord, sending: &Sending, apart: bool) -> Bytes {
        // Without a picture it does not matter what became of it.
        let picture = alarm.snapshot.as_ref().map_or(PictureFate::NotSent, |_| sending.picture.clone());
        let sending = Sending { replayed: sending.replayed, picture };
        self.memo.json(alarm.id, &sending, apart, || self.fresh_json(alarm, &sending, apart))
    }

    fn fresh_json(&self, alarm: &AlarmRecord, sending: &Sending, apart: bool) -> Bytes {
        let snapshot = alarm.snapshot.as_ref().map(|snapshot| {
            let (source, event, device) = (&alarm.source, &alarm.event, &alarm.device);
            self.snapshot(&Shot { source, event, device, alarm: alarm.id }, snapshot, sending, apart)
        });
        json(&AlarmJson::new(alarm, sending.replayed, snapshot))
    }

    /// What is published of a picture.
    fn snapshot<'a>(
        &self,
        shot: &Shot<'_>,
        record: &'a SnapshotRecord,
        sending: &'a Sending,
        apart: bool,
    ) -> SnapshotJson<'a> {
        let kept = record.picture.is_some();
        let (mut topic, mut object, mut problem) = (None, None, record.problem);
        match &sending.picture {
            _ if !kept => {}
            PictureFate::Sent if self.latest => {
                topic = self.topics.value(What::Snapshot, shot.source, Some(shot.event), Some(shot.device));
            }
            PictureFate::Sent if self.each => topic = Some(self.picture_topic(shot)),
            PictureFate::Sent => {}
            PictureFate::NotSent => topic = apart.then(|| self.picture_topic(shot)),
            PictureFate::OverBrokerLimit => problem = Some(SnapshotProblem::OverBrokerLimit),
            PictureFate::Object(key) => object = Some(key.as_str()),
        }
        let urls = self.urls.as_ref().filter(|_| kept);
        SnapshotJson {
            topic: topic.map(|topic| self.names.spell(topic)),
            url: urls.map(|(public, secret)| picture_url::picture(public, secret, shot.alarm)),
            bytes: record.bytes,
            sha256: record.sha256.as_deref(),
            width: record.width,
            height: record.height,
            object,
            problem,
        }
    }

    /// The topic of a picture published by itself.
    fn picture_topic(&self, shot: &Shot<'_>) -> String {
        self.topics.picture(shot.source, shot.event, shot.alarm, shot.device)
    }
}

/// Which picture: the alarm it came with.
struct Shot<'a> {
    source: &'a Source,
    event: &'a EventName,
    device: &'a DeviceRecord,
    alarm: Uuid,
}

/// A retained message that belongs to no alarm.
fn retained(topic: String, payload: Bytes, content_type: &'static str) -> Message {
    Message {
        topic,
        payload,
        retain: true,
        content_type,
        part: Part::Value,
        id: None,
        event: None,
        time: None,
        sha256: None,
        again: None,
    }
}

/// An announcement as a message.
fn announced(topic: String, announcement: &Announcement) -> Message {
    retained(topic, json(announcement), JSON)
}

/// The bytes of a document of ours. Their keys are texts and they hold no foreign code, so writing to memory
/// cannot fail.
fn json(document: &impl Serialize) -> Bytes {
    let mut bytes = Vec::with_capacity(1536);
    match serde_json::to_writer(&mut bytes, document) {
        Ok(()) => bytes.into(),
        Err(error) => Bytes::from(format!("{{\"error\":{:?}}}", error.to_string())),
    }
}
