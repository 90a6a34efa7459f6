//! Times on a page: absolute or relative, both without a script.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};

use crate::model::time::clock::utc;
use crate::web::texts::{fill, tr};

/// A moment, relative to the time of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web::pages) struct Moment {
    at: Timestamp,
    now: Timestamp,
}

/// A `<time>` element; the script converts it to the viewer's time zone and updates it.
#[derive(Debug)]
pub(in crate::web::pages) struct TimeElement {
    moment: Moment,
    ago: bool,
}

impl Moment {
    /// A moment at the time of the page.
    pub(in crate::web::pages) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }

    /// Time since the moment.
    pub(in crate::web::pages) fn ago(&self) -> TimeElement {
        TimeElement { moment: *self, ago: true }
    }

    /// The moment itself.
    pub(in crate::web::pages) fn clock(&self) -> TimeElement {
        TimeElement { moment: *self, ago: false }
    }
}

impl fmt::Display for TimeElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { at, now } = self.moment;
        let iso = utc(at);
        let (show, text) = match self.ago {
            true => ("ago", ago(now.duration_since(at))),
            false => ("clock", at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
        };
        write!(f, "<time datetime=\"{iso}\" data-show=\"{show}\">{text}</time>")
    }
}

/// Made of digits and texts of our own.
impl HtmlSafe for TimeElement {}

/// Time since a moment, in words.
pub(super) fn ago(span: SignedDuration) -> String {
    match span.as_secs() {
        ..5 => tr("just now").into(),
        seconds @ ..90 => fill("{} s ago", seconds),
        seconds @ ..5_400 => fill("{} min ago", (seconds + 30) / 60),
        seconds @ ..129_600 => fill("{} h ago", (seconds + 1_800) / 3_600),
        seconds => fill("{} days ago", (seconds + 43_200) / 86_400),
    }
}

/// A duration, in words.
pub(in crate::web::pages) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", (ms + 30_000) / 60_000),
        7_200_000..172_800_000 => format!("{} h", (ms + 1_800_000) / 3_600_000),
        _ => fill("{} days", (ms + 43_200_000) / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_told_in_the_unit_that_fits() {
        for (seconds, expected) in
            [(0, "just now"), (7, "7 s ago"), (100, "2 min ago"), (7_300, "2 h ago"), (200_000, "2 days ago")]
        {
            assert_eq!(ago(SignedDuration::from_secs(seconds)), expected);
        }
        for (ms, expected) in [(12, "12 ms"), (1_250, "1.2 s"), (240_000, "4 min"), (90_000_000, "25 h")] {
            assert_eq!(span(ms), expected);
        }
    }

    #[test]
    fn a_moment_is_readable_without_a_script() {
        let at: Timestamp = "2026-10-05T08:25:32.104Z".parse().unwrap();
        let moment = Moment::new(at, at + SignedDuration::from_secs(60));
        assert_eq!(
            moment.ago().to_string(),
            "<time datetime=\"2026-10-05T08:25:32.104Z\" data-show=\"ago\">60 s ago</time>"
        );
        assert!(moment.clock().to_string().contains(">2026-10-05 08:25:32 UTC<"));
    }
}
