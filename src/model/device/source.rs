//! The source: the topic level of one device.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mac::Mac;
use super::slug::slug;

/// The topic level of one device: hex digits, slugs and `-` only, so nothing on the wire can inject a level.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(Arc<str>);

/// Words that can never be a device: levels and commands of the bridge, and names used in topics (so that a level
/// before or after the source cannot make it ambiguous).
const RESERVED: [&str; 12] = [
    "bridge",
    "get",
    "unlisted",
    "event",
    "activity",
    "picture",
    "state",
    "count",
    "snapshot",
    "snapshot_info",
    "last",
    "device",
];

impl Source {
    /// The source of a device with a MAC address.
    #[must_use]
    pub fn of_mac(mac: Mac) -> Self {
        Self(mac.hex().into())
    }

    /// The source of a device known only by an opaque identifier.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        let slug = slug(id)?;
        Some(if is_reserved(&slug) { Self(format!("{slug}_device").into()) } else { Self(slug.into()) })
    }

    /// The source of a device known only by its address.
    #[must_use]
    pub fn of_ip(ip: &str) -> Self {
        Self(format!("ip-{}", slug(ip).unwrap_or_else(|| "unknown".into()).replace('_', "-")).into())
    }

    /// Source of a channel of this device. (Channel 1 of a camera is the camera itself; the caller decides that.)
    #[must_use]
    pub fn channel(&self, channel: u32) -> Self {
        Self(format!("{}-{channel}", self.0).into())
    }

    /// Source of alarms from devices beyond the maximum number of sources.
    #[must_use]
    pub fn unlisted() -> Self {
        Self("unlisted".into())
    }

    /// The text, as it stands in topics.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a source from the store or from a command line; `None` if it cannot be one.
    #[must_use]
    pub fn from_known(text: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        (!text.is_empty() && text.len() <= 96 && text.chars().all(fits)).then(|| Self(text.into()))
    }
}

/// Returns whether a text is reserved and cannot be a source (`bridge` with an instance included).
#[must_use]
pub fn is_reserved(text: &str) -> bool {
    RESERVED.contains(&text) || text.starts_with("bridge-")
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn sources_hold_no_separator() {
        assert_eq!(Source::of_ip("192.168.0.101").as_str(), "ip-192-168-0-101");
        assert_eq!(Source::of_ip("fe80::1").as_str(), "ip-fe80-1");
        assert_eq!(Source::of_id("bridge").map(|s| s.to_string()), Some("bridge_device".into()));
        assert_eq!(Source::of_id("../#").map(|s| s.to_string()), None);
        assert!(Source::from_known("a/b").is_none());
    }
}
