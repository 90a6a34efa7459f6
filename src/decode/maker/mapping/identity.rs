//! The device of an alarm, and its channel.

use serde_json::Value;

use super::Entry;
use crate::config::mapping::file::{self, IdentityPointers, Mapping};
use crate::decode::maker::alarms::unknown_camera;
use crate::decode::maker::channel::channel_of;
use crate::decode::maker::fields::{cut, number};
use crate::model::{DeviceKind, Reported};

impl Mapping {
    /// The device of an entry.
    pub(super) fn device_of(&self, entry: Entry<'_>, event: &str) -> Reported {
        let identity = &self.device;
        let name = |pointers: &[String]| entry.text(pointers).map(|name| cut(&name));
        let recorder = identity.recorder.iter().any(|pointer| entry.has(pointer));
        let own = self.of_device.iter().any(|slug| slug == event);
        Reported {
            mac: identity
                .mac
                .iter()
                .find_map(|pointer| entry.text(std::slice::from_ref(pointer))?.parse().ok()),
            device_id: name(&identity.id),
            name: name(&identity.name)
                .or_else(|| Some(cut(&format!("{} {}", self.title, name(&identity.model)?)))),
            ip: name(&identity.ip).map(|text| host(&text)),
            kind: if recorder { DeviceKind::Recorder } else { DeviceKind::Camera },
            channel: if own { None } else { self.channel_of(entry) },
            channel_name: name(&identity.channel_name),
            model: name(&identity.model),
            ..unknown_camera(self.name.clone())
        }
    }

    /// The channel, counted from 1.
    fn channel_of(&self, entry: Entry<'_>) -> Option<u32> {
        let identity = &self.device;
        let counts =
            |(pointer, words): (&String, &file::Words)| !entry.has(pointer) || entry.is(pointer, words.all());
        if !identity.channel_when.iter().all(counts) {
            return None;
        }
        entry.values(&identity.channel).find_map(|value| identity.counted(value))
    }
}

impl IdentityPointers {
    /// A value as a channel counted from 1; `None` for a number below the first channel.
    fn counted(&self, value: &Value) -> Option<u32> {
        let found = number(value).or_else(|| channel_of(value))?;
        let channel = found.checked_add(1)?.checked_sub(self.channel_base.unwrap_or(1))?;
        let wrapped = self.channel_wrap.and_then(|wrap| channel.checked_sub(wrap)).filter(|left| *left > 0);
        Some(wrapped.unwrap_or(channel)).filter(|channel| *channel > 0)
    }
}

/// The host of `host:port/path`.
fn host(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let head = text.split('/').next().unwrap_or(text);
    let is_v6 = head.matches(':').count() > 1 && !head.starts_with('[');
    let host = if is_v6 { head } else { head.rsplit_once(':').map_or(head, |(host, _)| host) };
    host.trim_matches(['[', ']']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_host_of_an_address() {
        for (text, expected) in [
            ("192.0.2.7:80/LAPI", "192.0.2.7"),
            ("192.0.2.7", "192.0.2.7"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("fe80::1", "fe80::1"),
            ("http://192.0.2.7:8080/onvif/events", "192.0.2.7"),
        ] {
            assert_eq!(host(text), expected);
        }
    }
}
