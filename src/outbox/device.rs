//! What the outbox knows of one source.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::habit::Habit;
use crate::model::clock::LearnedZone;
use crate::model::record::DeviceRecord;
use crate::model::value::{Card, KindSeen};
use crate::model::{DeviceKind, EventName, Mac, Source};

/// One source: what it said of itself and what was found out about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its number in the store; never used twice.
    #[serde(skip)]
    pub no: i64,
    /// Sequence number of its latest alarm.
    #[serde(skip)]
    pub seq: u64,
    /// Its alarms so far.
    #[serde(skip)]
    pub alarms: u64,
    /// Receipt of the latest, in milliseconds since 1970.
    #[serde(skip)]
    pub last_heard_ms: i64,
    /// The topic level.
    pub source: Source,
    /// The recorder, for a channel.
    pub parent: Option<Source>,
    /// The MAC address of the device itself.
    pub mac: Option<Mac>,
    /// The vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// The channel.
    pub channel: Option<u32>,
    /// Its name for itself.
    pub reported_name: Option<String>,
    /// The recorder's name for the channel.
    pub channel_name: Option<String>,
    /// The name given on the page or by `alarmbus devices rename`.
    pub renamed: Option<String>,
    /// The address.
    pub ip: Option<String>,
    /// Receipt of its first alarm.
    pub first_heard: Timestamp,
    /// Device time less receipt time at its latest alarm that had a time, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// What `auto` has found out about its zone.
    pub zone: LearnedZone,
    /// How often it is heard.
    #[serde(default)]
    pub habit: Habit,
    /// Its latest alarm came with a picture.
    #[serde(default)]
    pub pictured: bool,
    /// The kinds it has sent.
    pub kinds: Vec<KindSeen>,
    /// Deleted in Home Assistant: not announced until its next alarm.
    pub hidden: bool,
    /// A short form of its latest announcement, to see whether settings changed it.
    #[serde(default)]
    pub announced: u64,
    /// Its latest availability, where one is kept: whether it is there, and why that is said.
    pub available: Option<(bool, String)>,
}

/// Settings of one device that shape what is published of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// The configured name.
    pub name: Option<String>,
    /// The configured area.
    pub area: Option<String>,
    /// Entities to leave out.
    pub entities_off: Vec<String>,
    /// Whether availability is watched.
    pub availability: bool,
}

impl Device {
    /// One that was not heard yet. Its numbers start at the time of day, so that they never run backward.
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
            renamed: None,
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

    /// The name to show: configured, renamed, reported, or made up.
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

    /// A name for a device that told none.
    fn made_up(&self) -> String {
        let text = self.source.as_str();
        let tail = text.len().saturating_sub(6);
        match self.mac {
            Some(_) => format!("VIGI {}", text.get(tail..).unwrap_or(text)),
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

    /// What Home Assistant is told.
    #[must_use]
    pub fn card(&self, name: String, shown: &Shown) -> Card {
        Card {
            source: self.source.clone(),
            device: self.record(name),
            area: shown.area.clone(),
            kinds: self.kinds.clone(),
            entities_off: shown.entities_off.clone(),
            availability: shown.availability,
        }
    }

    /// Notes a kind; says whether anything about it is new.
    pub fn saw(&mut self, event: &EventName, picture: bool, counted: bool) -> bool {
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
            reported_name: name.map(Into::into),
            ..Device::unheard(1, Source::from_known("98ba5f8b1003").unwrap(), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn a_name_is_always_found() {
        assert_eq!(device(DeviceKind::Camera, Some("Door")).name(None, None), "Door channel 2");
        assert_eq!(device(DeviceKind::Camera, None).name(None, None), "VIGI 8b1003");
        assert_eq!(device(DeviceKind::Channel, None).name(None, Some("NVR")), "NVR channel 2");
        assert_eq!(device(DeviceKind::Camera, Some("Door")).name(Some("Porch"), None), "Porch");
    }

    #[test]
    fn a_kind_is_new_once_and_again_with_its_first_picture() {
        let mut device = device(DeviceKind::Camera, None);
        let person = EventName::new("person");
        let news = [(false, false), (false, false), (true, false), (true, true), (true, true)]
            .map(|(p, c)| device.saw(&person, p, c));
        assert_eq!(news, [true, false, true, true, false]);
    }
}
