//! A source in the outbox.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::habit::Habit;
use crate::config::mapping::maker_of;
use crate::model::record::DeviceRecord;
use crate::model::time::clock::LearnedZone;
use crate::model::value::{Card, KindSeen};
use crate::model::{DeviceKind, EventName, Mac, Mutes, Source};

/// A source: what it reported of itself, and what was learned about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Number in the store; never used twice.
    #[serde(skip)]
    pub no: i64,
    /// Sequence number of its latest alarm.
    #[serde(skip)]
    pub seq: u64,
    /// Number of its alarms so far.
    #[serde(skip)]
    pub alarms: u64,
    /// Time of receipt of the latest alarm, in milliseconds since 1970.
    #[serde(skip)]
    pub last_heard_ms: i64,
    /// Topic level of the source.
    pub source: Source,
    /// Source of the recorder, for a channel.
    pub parent: Option<Source>,
    /// The MAC address of the device itself.
    pub mac: Option<Mac>,
    /// Name of the vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// Number of the channel.
    pub channel: Option<u32>,
    /// Name the device reports of itself.
    pub reported_name: Option<String>,
    /// Name the recorder reports for the channel.
    pub channel_name: Option<String>,
    /// Its model, where it says it.
    #[serde(default)]
    pub model: Option<String>,
    /// Name given on the page or by `alarmbus devices rename`.
    pub renamed: Option<String>,
    /// The area given on the page; one in the configuration wins.
    #[serde(default)]
    pub area: Option<String>,
    /// The hold given on the page, in seconds; one in the configuration wins.
    #[serde(default)]
    pub hold_seconds: Option<u64>,
    /// Muted kinds.
    #[serde(default)]
    pub mutes: Mutes,
    /// IP address.
    pub ip: Option<String>,
    /// Time of receipt of its first alarm.
    pub first_heard: Timestamp,
    /// Device time minus receipt time of its latest alarm with a time, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// Zone learned with setting `auto`.
    pub zone: LearnedZone,
    /// Pauses between its alarms.
    #[serde(default)]
    pub habit: Habit,
    /// Set if its latest alarm had a picture.
    #[serde(default)]
    pub pictured: bool,
    /// The kinds it has sent.
    pub kinds: Vec<KindSeen>,
    /// Set if it was deleted in Home Assistant: not announced until its next alarm.
    pub hidden: bool,
    /// Hash of its latest announcement, to detect a change of settings.
    #[serde(default)]
    pub announced: u64,
    /// Latest availability and its reason, if availability is watched.
    pub available: Option<(bool, String)>,
}

/// Settings of a device that shape what is published of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Appearance {
    /// The configured name.
    pub name: Option<String>,
    /// The configured area.
    pub area: Option<String>,
    /// Entities to leave out.
    pub entities_off: Vec<String>,
    /// Set if availability is watched.
    pub availability: bool,
}

impl Device {
    /// A source without alarms. Its `seq` starts at the Unix time, so that it rises even if the source was deleted
    /// before.
    #[must_use]
    pub fn unheard(no: i64, source: Source, at: Timestamp) -> Self {
        Self {
            no,
            seq: u64::try_from(at.as_second()).unwrap_or(1).saturating_sub(1),
            alarms: 0,
            last_heard_ms: at.as_millisecond(),
            source,
            parent: None,
            mac: None,
            vendor: String::new(),
            kind: DeviceKind::Camera,
            channel: None,
            reported_name: None,
            channel_name: None,
            model: None,
            renamed: None,
            area: None,
            hold_seconds: None,
            mutes: Mutes::default(),
            ip: None,
            first_heard: at,
            clock_offset_ms: None,
            zone: LearnedZone::default(),
            habit: Habit::default(),
            pictured: false,
            kinds: Vec::new(),
            hidden: true,
            announced: 0,
            available: None,
        }
    }

    /// Counts an alarm. Sequence numbers rise with every alarm of a device, so an alarm already counted is not
    /// counted again.
    pub(crate) fn count(&mut self, seq: u64, received_at: Timestamp) {
        if seq <= self.seq {
            return;
        }
        let received_ms = received_at.as_millisecond();
        if 0 < self.alarms {
            let pause = received_ms - self.last_heard_ms;
            self.habit.note_alarm(pause.max(0).unsigned_abs() / 1_000);
        }
        self.seq = seq;
        self.alarms += 1;
        self.last_heard_ms = received_ms;
    }

    /// Name to show: configured, renamed, reported, or generated.
    #[must_use]
    pub fn name(&self, configured: Option<&str>, parent: Option<&str>) -> String {
        let own = match self.kind {
            DeviceKind::Channel => self.channel_name.as_deref(),
            DeviceKind::Camera | DeviceKind::Recorder => self.reported_name.as_deref(),
        };
        let given = configured.or(self.renamed.as_deref()).map(str::to_owned);
        given.unwrap_or_else(|| match (own, self.kind, self.channel) {
            (Some(name), DeviceKind::Camera, Some(channel)) if 1 < channel => {
                format!("{name} channel {channel}")
            }
            (Some(name), _, _) => name.to_owned(),
            (None, DeviceKind::Channel, Some(channel)) => {
                format!(
                    "{} channel {channel}",
                    parent.or(self.reported_name.as_deref()).unwrap_or("Recorder")
                )
            }
            (None, _, _) => self.made_up(),
        })
    }

    /// Generated name for a device that reports none.
    fn made_up(&self) -> String {
        let text = self.source.as_str();
        let tail = text.len().saturating_sub(6);
        match self.mac {
            Some(_) => {
                let maker = maker_of(&self.vendor).unwrap_or_else(|| "Camera".into());
                format!("{maker} {}", text.get(tail..).unwrap_or(text))
            }
            None => text.to_owned(),
        }
    }

    /// The device as records carry it.
    #[must_use]
    pub fn record(&self, name: String) -> DeviceRecord {
        DeviceRecord {
            mac: self.mac,
            name,
            reported_name: self.reported_name.clone(),
            ip: self.ip.clone(),
            vendor: self.vendor.clone(),
            kind: self.kind,
            channel: self.channel,
            parent: self.parent.clone(),
        }
    }

    /// Announcement for Home Assistant.
    #[must_use]
    pub fn card(&self, name: String, shown: &Appearance) -> Card {
        Card {
            source: self.source.clone(),
            device: self.record(name),
            model: self.model.clone(),
            area: shown.area.clone().or_else(|| self.area.clone()),
            kinds: self.kinds.clone(),
            entities_off: shown.entities_off.clone(),
            availability: shown.availability,
        }
    }

    /// Notes a kind. Returns whether the kind or something about it is new.
    pub fn note_kind(&mut self, event: &EventName, picture: bool, counted: bool) -> bool {
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.event == *event) {
            let new = (picture && !kind.picture) || (counted && !kind.counted);
            kind.picture |= picture;
            kind.counted |= counted;
            return new;
        }
        self.kinds.push(KindSeen { event: event.clone(), picture, counted });
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn device(kind: DeviceKind, name: Option<&str>) -> Device {
        Device {
            mac: Some("98ba5f8b1003".parse().unwrap()),
            kind,
            channel: Some(2),
            vendor: "vigi".into(),
            reported_name: name.map(Into::into),
            ..Device::unheard(1, Source::from_known("98ba5f8b1003").unwrap(), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_name_is_always_found() {
        assert_eq!(device(DeviceKind::Camera, Some("Door")).name(None, None), "Door channel 2");
        assert_eq!(device(DeviceKind::Camera, None).name(None, None), "VIGI 8b1003");
        let of = |vendor: &str| Device { vendor: vendor.into(), ..device(DeviceKind::Camera, None) };
        assert_eq!(of("hikvision").name(None, None), "Hikvision 8b1003");
        assert_eq!(of("generic").name(None, None), "Camera 8b1003");
        assert_eq!(device(DeviceKind::Channel, None).name(None, Some("NVR")), "NVR channel 2");
        assert_eq!(device(DeviceKind::Camera, Some("Door")).name(Some("Porch"), None), "Porch");
    }

    #[test]
    fn a_kind_is_new_once_and_again_with_its_first_picture() {
        let mut device = device(DeviceKind::Camera, None);
        let person = EventName::new("person");
        let news = [(false, false), (false, false), (true, false), (true, true), (true, true)]
            .map(|(p, c)| device.note_kind(&person, p, c));
        assert_eq!(news, [true, false, true, true, false]);
    }
}
