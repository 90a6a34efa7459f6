//! What every page has around it: the tabs, how the bridge is, and a word about what was just done.

use jiff::Timestamp;

use crate::findings::{Findings, Severity};
use crate::model::clock::utc;

/// A page of the row of tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    /// Alarms as they come.
    Live,
    /// What is known of each device.
    Devices,
    /// What came over HTTP.
    Requests,
    /// What to type into the camera.
    Setup,
    /// Sinks, backlog, findings.
    Health,
}

impl Tab {
    const ALL: [Self; 5] = [Self::Live, Self::Devices, Self::Requests, Self::Setup, Self::Health];

    /// Its name.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Live => "Live",
            Self::Devices => "Devices",
            Self::Requests => "Requests",
            Self::Setup => "Setup",
            Self::Health => "Health",
        }
    }

    /// Where it is.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Live => "/",
            Self::Devices => "/devices",
            Self::Requests => "/requests",
            Self::Setup => "/setup",
            Self::Health => "/health",
        }
    }
}

/// A few words with a colour; the words alone say everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chip {
    /// `ok`, `warn`, `bad` or nothing.
    pub(super) tone: &'static str,
    /// The words.
    pub(super) words: String,
}

impl Chip {
    /// Puts it together.
    pub(super) fn new(tone: &'static str, words: impl Into<String>) -> Self {
        Self { tone, words: words.into() }
    }
}

/// A word about what was just done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    /// What to say.
    pub(super) words: &'static str,
    /// It did not work.
    pub(super) bad: bool,
}

/// Everything that may be said after an action. Only the word in the address names it: nobody can make a page say
/// anything else.
const NOTICES: &[(&str, bool, &str)] = &[
    ("renamed", false, "The device was renamed."),
    ("cleared", false, "The state was cleared."),
    ("removed", false, "The device was removed. It comes back with its next alarm."),
    ("replayed", false, "It was sent again to every sink, marked as replayed."),
    ("retried", false, "The message is tried again."),
    ("dropped", false, "The message was dropped."),
    ("gone", true, "That is not there any more; nothing was changed."),
    ("stopping", true, "The bridge is stopping; nothing was changed."),
];

/// What every page has around it.
#[derive(Debug)]
pub(super) struct Frame {
    /// The page shown; none for what is no page of the tabs.
    tab: Option<Tab>,
    /// Its title.
    pub(super) title: &'static str,
    /// How the bridge is.
    pub(super) mood: Chip,
    /// A word about what was just done.
    pub(super) notice: Option<Notice>,
    /// Of the software; makes browsers fetch new assets after an update.
    pub(super) version: &'static str,
    /// The moment of the page, for the script: the viewer's clock may be off.
    pub(super) now: String,
}

impl Frame {
    /// The frame of a page; `done` names what was just done.
    pub(super) fn new(tab: Tab, done: Option<&str>, findings: &Findings, now: Timestamp) -> Self {
        let notice = NOTICES.iter().find(|(code, ..)| Some(*code) == done);
        Self {
            tab: Some(tab),
            title: tab.title(),
            mood: mood(findings),
            notice: notice.map(|(_, bad, words)| Notice { words, bad: *bad }),
            version: env!("CARGO_PKG_VERSION"),
            now: utc(now),
        }
    }

    /// The frame of what could not be done. It says nothing of how the bridge is: that may be what cannot be read.
    pub(super) fn of_trouble(title: &'static str, now: Timestamp) -> Self {
        let mood = Chip::new("", "Health");
        Self { tab: None, title, mood, ..Self::new(Tab::Live, None, &Findings::default(), now) }
    }

    /// Whether this is the page shown.
    pub(super) fn shows(&self, tab: &Tab) -> bool {
        self.tab.as_ref() == Some(tab)
    }

    /// The events of the stream after which a page is asked for again.
    pub(super) fn event_names(&self) -> &'static str {
        "alarm skipped health findings chain"
    }

    /// All tabs.
    pub(super) fn tabs(&self) -> &'static [Tab] {
        &Tab::ALL
    }
}

/// How the bridge is, in two words.
fn mood(findings: &Findings) -> Chip {
    let list = findings.list();
    let count = |severity| list.iter().filter(|finding| finding.kind.severity == severity).count();
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => Chip::new("ok", "All well"),
        (0, 1) => Chip::new("warn", "1 warning"),
        (0, warnings) => Chip::new("warn", format!("{warnings} warnings")),
        (1, _) => Chip::new("bad", "1 problem"),
        (errors, _) => Chip::new("bad", format!("{errors} problems")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_sets_the_mood() {
        let findings = Findings::default();
        assert_eq!(mood(&findings), Chip::new("ok", "All well"));
        findings.raise("wrong_path", "127.0.0.1", "x");
        assert_eq!(mood(&findings), Chip::new("warn", "1 warning"));
        findings.raise("disk", "storage", "x");
        assert_eq!(mood(&findings), Chip::new("bad", "1 problem"));
    }

    #[test]
    fn only_known_words_are_said() {
        let frame = |done| Frame::new(Tab::Live, done, &Findings::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(frame(Some("renamed")).notice.unwrap().words, "The device was renamed.");
        assert!(frame(Some("<b>")).notice.is_none() && frame(None).notice.is_none());
    }
}
