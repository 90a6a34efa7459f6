//! Placeholders of topic templates and their values, which contain safe characters only.

use std::fmt;

use uuid::Uuid;

use crate::model::device::slug::slug;
use crate::model::record::DeviceRecord;
use crate::model::{EventName, Source};

/// Placeholder of a topic template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// The base topic.
    Base,
    /// The topic level of the device.
    Source,
    /// The slug of the kind.
    Event,
    /// The identifier of the alarm or activity record.
    Id,
    /// The MAC as twelve hex digits; the source for a device without one.
    Mac,
    /// The channel; 0 for a device without one.
    Channel,
    /// The slug of the device's name; the source when nothing of it is left.
    Name,
    /// The slug of the vendor.
    Vendor,
}

/// Every placeholder with its spelling.
pub(super) const SPELLINGS: [(&str, Placeholder); 8] = [
    ("base", Placeholder::Base),
    ("source", Placeholder::Source),
    ("event", Placeholder::Event),
    ("id", Placeholder::Id),
    ("mac", Placeholder::Mac),
    ("channel", Placeholder::Channel),
    ("name", Placeholder::Name),
    ("vendor", Placeholder::Vendor),
];

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SPELLINGS.iter().find(|(_, placeholder)| placeholder == self).map_or("", |(name, _)| name);
        write!(f, "{{{name}}}")
    }
}

/// Values for the placeholders of a template.
#[derive(Debug, Clone, Copy)]
pub struct PlaceholderValues<'a> {
    /// The base topic, checked.
    pub base: &'a str,
    /// The topic level of the device.
    pub source: &'a Source,
    /// Kind, if the topic depends on it.
    pub event: Option<&'a EventName>,
    /// Identifier, for messages of the log.
    pub id: Option<Uuid>,
    /// The device.
    pub device: Option<&'a DeviceRecord>,
}

impl PlaceholderValues<'_> {
    /// Appends the value of a placeholder: `[a-z0-9_-]` only, never empty.
    pub(super) fn push(&self, slot: Placeholder, topic: &mut String) {
        let source = self.source.as_str();
        match slot {
            Placeholder::Base => topic.push_str(self.base),
            Placeholder::Source => topic.push_str(source),
            Placeholder::Event => topic.push_str(self.event.map_or("unknown", EventName::as_str)),
            Placeholder::Id => topic.push_str(&self.id.unwrap_or_default().to_string()),
            Placeholder::Mac => match self.device.and_then(|device| device.mac) {
                Some(mac) => topic.push_str(&mac.hex()),
                None => topic.push_str(source),
            },
            Placeholder::Channel => {
                let channel = self.device.and_then(|device| device.channel).unwrap_or(0);
                topic.push_str(&channel.to_string());
            }
            Placeholder::Name => match self.device.and_then(|device| slug(&device.name)) {
                Some(name) => topic.push_str(&name),
                None => topic.push_str(source),
            },
            Placeholder::Vendor => {
                let vendor = self.device.and_then(|device| slug(&device.vendor));
                topic.push_str(vendor.as_deref().unwrap_or("unknown"));
            }
        }
    }
}
