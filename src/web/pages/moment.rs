//! Times on a page: the moment itself, how long ago it was, and both without a script.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};

use crate::model::clock::utc;

/// A moment as a page of now shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    at: Timestamp,
    now: Timestamp,
}

/// A `<time>` element; the script puts the viewer's zone in, and counts on.
#[derive(Debug)]
pub(super) struct Shown {
    moment: Moment,
    ago: bool,
}

impl Moment {
    /// A moment, seen from now.
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }

    /// How long ago.
    pub(super) fn ago(&self) -> Shown {
        Shown { moment: *self, ago: true }
    }

    /// The moment itself.
    pub(super) fn clock(&self) -> Shown {
        Shown { moment: *self, ago: false }
    }
}

impl fmt::Display for Shown {
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

/// Made of digits and letters of our own.
impl HtmlSafe for Shown {}

/// A text that begins as a sentence does; a single word is a name and stays as it is.
pub(super) fn sentence(text: &str) -> String {
    if !text.contains(' ') {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// How long ago, as people say it.
pub(super) fn ago(span: SignedDuration) -> String {
    match span.as_secs() {
        ..5 => "just now".into(),
        seconds @ ..90 => format!("{seconds} s ago"),
        seconds @ ..5_400 => format!("{} min ago", (seconds + 30) / 60),
        seconds @ ..129_600 => format!("{} h ago", (seconds + 1_800) / 3_600),
        seconds => format!("{} days ago", (seconds + 43_200) / 86_400),
    }
}

/// A length of time, as people say it.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", (ms + 30_000) / 60_000),
        7_200_000..172_800_000 => format!("{} h", (ms + 1_800_000) / 3_600_000),
        _ => format!("{} days", (ms + 43_200_000) / 86_400_000),
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
