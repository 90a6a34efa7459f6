//! Topics that a broker refuses, and filters that a client subscribes to.

use crate::plan::{KINDS, Topic};

/// Returns whether a topic belongs to a set.
pub(crate) fn matches(of: Topic, topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    let [base, source, what, rest @ ..] = levels.as_slice() else { return false };
    let bridge = *source == "bridge";
    match of {
        Topic::Discovery => *base == "homeassistant",
        _ if *base == "homeassistant" => false,
        Topic::Bridge => bridge && *what != "token",
        _ if bridge => false,
        Topic::Event(kind) => *what == "event" && rest == [KINDS[usize::from(kind)].0],
        Topic::Activity => *what == "activity",
        Topic::Last => *what == "last",
        Topic::State => *what == "state",
        Topic::Snapshot => *what == "snapshot",
        Topic::SnapshotInfo => *what == "snapshot_info",
        Topic::Device => *what == "device",
    }
}

/// Returns whether a topic matches a filter.
pub(crate) fn fits(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (None, None) | (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}
