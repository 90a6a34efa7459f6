//! Events that a device sends more than once: repeats make no further alarms.

use std::collections::HashMap;
use std::time::Duration;

use crate::activity::Now;
use crate::model::{Alarm, EventName, Source};

/// Maximum number of events remembered.
const REMEMBERED: usize = 4_096;

/// An event: its source, its kind, and the device's own name for it.
type Event = (Source, EventName, String);

/// Time at which an event is forgotten, and whether it had a picture.
#[derive(Debug, Clone, Copy)]
struct Seen {
    until: Duration,
    pictured: bool,
}

/// An alarm compared with the events that were taken in before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// It is of another event.
    New,
    /// It is of an event that was taken in, and brings the picture that is missing there.
    Picture,
    /// It is of an event that was taken in, and brings nothing.
    Repeat,
}

/// Recent events.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeated {
    seen: HashMap<Event, Seen>,
}

impl Repeated {
    /// Compares an alarm with the events that were taken in before.
    pub(super) fn again(&mut self, source: &Source, alarm: &Alarm, at: Now) -> Again {
        let Some(same) = &alarm.same else { return Again::New };
        if self.seen.len() >= REMEMBERED {
            self.seen.retain(|_, seen| at.mono < seen.until);
        }
        let event = (source.clone(), alarm.event.clone(), same.key.clone());
        let pictured = alarm.picture.is_some();
        let before = self.seen.get(&event).copied().filter(|seen| at.mono < seen.until);
        if let Some(seen) = before.filter(|seen| seen.pictured || !pictured) {
            tracing::debug!(source = %source, event = %alarm.event, "a repeat of one event, {} left", (seen.until - at.mono).as_secs());
            return Again::Repeat;
        }
        if self.seen.len() < REMEMBERED {
            let until = at.mono + Duration::from_secs(same.seconds);
            self.seen.insert(event, Seen { until, pictured });
        }
        if before.is_some() { Again::Picture } else { Again::New }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::maker::alarms::{blank_alarm, unknown_camera};
    use crate::model::SameEvent;

    #[test]
    fn a_repeat_is_no_alarm_unless_it_brings_the_picture() {
        let mut repeated = Repeated::default();
        let source = Source::of_id("door").unwrap();
        let at = |seconds| Now { mono: Duration::from_secs(seconds), wall: jiff::Timestamp::UNIX_EPOCH };
        let alarm = |key: &str, picture| Alarm {
            same: Some(SameEvent { key: key.into(), seconds: 30 }),
            picture,
            ..blank_alarm(unknown_camera("generic"))
        };
        let mut is = |key, picture, seconds| repeated.again(&source, &alarm(key, picture), at(seconds));
        let found = [
            ("a", None, 0),
            ("a", None, 5),
            ("b", None, 5),
            ("a", Some(0), 6),
            ("a", Some(0), 7),
            ("a", None, 8),
            ("a", None, 60),
        ]
        .map(|(key, picture, seconds)| is(key, picture, seconds));
        let (new, picture, repeat) = (Again::New, Again::Picture, Again::Repeat);
        assert_eq!(found, [new, repeat, new, picture, repeat, repeat, new]);
        assert_eq!(repeated.again(&source, &blank_alarm(unknown_camera("generic")), at(61)), new);
    }
}
