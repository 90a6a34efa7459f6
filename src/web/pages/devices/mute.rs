//! Mutes: view, and the durations a page offers.

use jiff::Timestamp;

use crate::model::Mute;
use crate::web::pages::frame::moment::Moment;
use crate::web::texts::{key, tr, tr_any};

/// A duration of a mute.
#[derive(Debug, Clone, Copy)]
pub(super) struct MuteSpan {
    /// Seconds; empty: until the mute is lifted.
    pub(super) seconds: &'static str,
    /// Text of the duration.
    pub(super) words: &'static str,
}

/// Durations offered, the usual one first.
pub(super) const SPANS: [MuteSpan; 6] = [
    MuteSpan { seconds: "3600", words: key("1 hour") },
    MuteSpan { seconds: "900", words: key("15 minutes") },
    MuteSpan { seconds: "28800", words: key("8 hours") },
    MuteSpan { seconds: "86400", words: key("24 hours") },
    MuteSpan { seconds: "604800", words: key("7 days") },
    MuteSpan { seconds: "", words: key("until unmuted") },
];

/// View of a mute.
#[derive(Debug)]
pub(super) struct MuteView {
    /// Kind; empty: every kind.
    pub(super) event: String,
    pub(super) title: String,
    pub(super) until: Option<Moment>,
}

impl MuteView {
    /// View of a mute.
    pub(super) fn new(mute: &Mute, now: Timestamp) -> Self {
        let event = mute.event.as_ref();
        Self {
            event: event.map(ToString::to_string).unwrap_or_default(),
            title: event.map_or_else(|| tr("All alarms").into(), |event| tr_any(&event.title())),
            until: mute.until.map(|until| Moment::new(until, now)),
        }
    }
}
