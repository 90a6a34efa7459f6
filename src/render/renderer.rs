//! The renderer of one sink: records and current values in, messages out.

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use super::memo::Memo;
use super::payload::{ActivityJson, AlarmJson, SnapshotJson};
use super::settings::{Names, PictureFate, RenderError, RenderSettings, Sending, is_web_address};
use super::topics::TopicSet;
use super::url as picture_url;
use super::{Content, CurrentValue, LogEntry, Message, MessagePart, What};
use crate::homeassistant::{Announcement, Card, Discovery, Removed, Topic};
use crate::model::picture::variant::PictureForm;
use crate::model::record::{ActivityPhase, DeviceRecord, Record, SnapshotProblem, SnapshotRecord};
use crate::model::time::clock::utc;
use crate::model::{ActivityRecord, AlarmRecord, EventName, Source};

/// MIME type of JSON documents.
const JSON: &str = "application/json";
/// MIME type of short texts: ON, OFF, numbers, online, offline.
const TEXT: &str = "text/plain";
/// MIME type of pictures.
const JPEG: &str = "image/jpeg";
/// Key of a current value.
#[derive(Debug, Clone, Copy)]
pub struct RenderKey<'a> {
    /// The source; `None` for a value of the bridge itself.
    pub source: Option<&'a Source>,
    /// Type of the value.
    pub what: What,
    /// The kind, for values that exist once per kind.
    pub event: Option<&'a EventName>,
    /// The device, for topic templates with placeholders besides `{source}`.
    pub device: Option<&'a DeviceRecord>,
}

impl<'a> From<&'a CurrentValue> for RenderKey<'a> {
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
    /// Public address and secret for picture addresses; `None` if either is missing, and pictures then have no address.
    urls: Option<(String, [u8; 32])>,
    /// Spelling of topics inside documents.
    names: Names,
    mute_topic: bool,
    /// True if the latest pictures are published.
    latest: bool,
    /// True if every picture is published.
    each: bool,
    pub(super) discovery: Option<Discovery>,
    /// Cache of recently rendered JSON.
    memo: Memo,
}

impl Renderer {
    /// Checks the settings and prepares everything that is the same for all messages.
    ///
    /// # Errors
    /// Returns an error when a topic is invalid or could collide with another, or an address or identifier is
    /// malformed.
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
            mute_topic: settings.mute_topic,
            latest: settings.snapshots.enabled && settings.snapshots.latest,
            each: settings.snapshots.enabled && settings.snapshots.each,
            discovery,
            memo: Memo::default(),
        })
    }

    /// Returns the messages of a log record in sending order: a picture precedes its event.
    #[must_use]
    pub fn log(&self, entry: &LogEntry, sending: &Sending) -> Vec<Message> {
        match &entry.record {
            Record::Alarm(alarm) => {
                let picture = self.each_picture(alarm, entry.picture.as_ref(), sending);
                let event = (!alarm.adds_picture).then(|| self.event(alarm, sending, picture.is_some()));
                picture.into_iter().chain(event).collect()
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
        let topic = self.topic(&RenderKey::from(value))?;
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
    pub fn topic(&self, key: &RenderKey<'_>) -> Option<String> {
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

    /// Returns whether a topic contains more of a device than its source.
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

    /// Returns the announcement of the bridge itself; it must be sent before those of its devices.
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

    /// The retained state of the bridge, `online` or `offline`: used at the start of a session, as MQTT will message,
    /// and at a clean stop.
    #[must_use]
    pub fn bridge_state(&self, online: bool) -> Message {
        let word = if online { "online" } else { "offline" };
        retained(self.topics.bridge("state"), Bytes::from_static(word.as_bytes()), TEXT)
    }

    /// The retained token of a session. If it is missing at the next session, the broker lost its retained messages.
    #[must_use]
    pub fn bridge_token(&self, token: &str) -> Message {
        retained(self.topics.bridge("token"), Bytes::copy_from_slice(token.as_bytes()), TEXT)
    }

    /// The topic of an entity's state in Home Assistant; `None` when this sink does not publish it.
    fn shown(&self, card: &Card, topic: Topic, event: Option<&EventName>) -> Option<String> {
        let what = match topic {
            Topic::Events => return Some(self.topics.events(&card.source, Some(&card.device))),
            Topic::Event => {
                let (source, device) = (&card.source, &card.device);
                return event.map(|event| self.topics.event_filter(source, event, device));
            }
            Topic::Bridge => return Some(self.topics.bridge("state")),
            Topic::MuteSet => return self.mute_topic.then(|| self.topics.mute_set(&card.source)),
            Topic::State => What::State,
            Topic::Count => What::Count,
            Topic::Snapshot => What::Snapshot,
            Topic::SnapshotInfo => What::SnapshotInfo,
            Topic::Last => What::Last,
            Topic::Device => What::Device,
        };
        self.topic(&RenderKey { source: Some(&card.source), what, event, device: Some(&card.device) })
    }

    /// Returns the event message of an alarm. `apart`: its picture is published as a separate message just before.
    fn event(&self, alarm: &AlarmRecord, sending: &Sending, apart: bool) -> Message {
        Message {
            topic: self.topics.event(&alarm.source, &alarm.event, alarm.id, &alarm.device),
            payload: self.alarm_json(alarm, sending, apart),
            retain: false,
            content_type: JSON,
            part: MessagePart::Event,
            id: Some(alarm.id),
            event: Some(alarm.event.clone()),
            time: Some(alarm.time.clone()),
            sha256: None,
            replay_of: None,
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
            part: MessagePart::Picture,
            id: Some(alarm.id),
            event: Some(alarm.event.clone()),
            time: Some(alarm.time.clone()),
            sha256: alarm.snapshot.as_ref().and_then(|snapshot| snapshot.sha256.clone()),
            replay_of: None,
        })
    }

    /// A variant of an alarm's picture as a message of the log, for a sink that is set to publish it.
    #[must_use]
    pub fn variant(&self, alarm: &AlarmRecord, form: PictureForm, bytes: Bytes) -> Message {
        let picture = self.topics.picture(&alarm.source, &alarm.event, alarm.id, &alarm.device);
        Message {
            topic: format!("{picture}/{}", form.as_str()),
            payload: bytes,
            retain: false,
            content_type: JPEG,
            part: MessagePart::Variant(form),
            id: Some(alarm.id),
            event: Some(alarm.event.clone()),
            time: Some(alarm.time.clone()),
            sha256: None,
            replay_of: None,
        }
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
                ActivityPhase::Start => MessagePart::ActivityStart,
                ActivityPhase::End => MessagePart::ActivityEnd,
            },
            id: Some(activity.id),
            event: Some(activity.event.clone()),
            time: Some(utc(activity.ended.unwrap_or(activity.started))),
            sha256: None,
            replay_of: None,
        }
    }

    /// The published JSON of an alarm.
    fn alarm_json(&self, alarm: &AlarmRecord, sending: &Sending, apart: bool) -> Bytes {
        // An alarm without a picture has no picture outcome, so any value will do.
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

    /// Returns the published form of a picture.
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

    /// Returns the topic of a picture that is published as its own message.
    fn picture_topic(&self, shot: &Shot<'_>) -> String {
        self.topics.picture(shot.source, shot.event, shot.alarm, shot.device)
    }
}

/// A picture, identified by the alarm it came with.
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
        part: MessagePart::Value,
        id: None,
        event: None,
        time: None,
        sha256: None,
        replay_of: None,
    }
}

/// An announcement as a message.
fn announced(topic: String, announcement: &Announcement) -> Message {
    retained(topic, json(announcement), JSON)
}

/// Serialises a document of this crate. It cannot fail: all keys are strings, no foreign serialiser runs, and the
/// output is memory.
fn json(document: &impl Serialize) -> Bytes {
    let mut bytes = Vec::with_capacity(1536);
    match serde_json::to_writer(&mut bytes, document) {
        Ok(()) => bytes.into(),
        Err(error) => Bytes::from(format!("{{\"error\":{:?}}}", error.to_string())),
    }
}
