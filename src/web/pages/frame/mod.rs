//! Frame of every page: tabs, overall state, and a notice of the last action.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;
use url::form_urlencoded;

use crate::model::time::clock::utc;
use crate::web::overall::{Checked, check_anyhow};
use crate::web::preferences::Preferences;
use crate::web::texts::{key, tr};
use crate::web::{LoggedIn, Overall, OverallState, Tick, Web};

pub(super) mod assets;
pub(super) mod moment;
pub(super) mod trouble;

/// A page with a tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    /// Alarms as they come.
    Live,
    /// Stored alarms, by filter.
    History,
    /// Known devices.
    Devices,
    /// Requests received over HTTP.
    Requests,
    /// Settings for the camera, and the delivery check.
    Setup,
    /// Sinks, backlog and findings.
    Health,
    /// Preferences of the viewer, settings in force, log.
    Settings,
}

impl Tab {
    const ALL: [Self; 7] =
        [Self::Live, Self::History, Self::Devices, Self::Requests, Self::Setup, Self::Health, Self::Settings];

    /// Title of the page.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Live => tr("Live"),
            Self::History => tr("History"),
            Self::Devices => tr("Devices"),
            Self::Requests => tr("Requests"),
            Self::Setup => tr("Setup"),
            Self::Health => tr("Health"),
            Self::Settings => tr("Settings"),
        }
    }

    /// Path of the page.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Live => "/",
            Self::History => "/history",
            Self::Devices => "/devices",
            Self::Requests => "/requests",
            Self::Setup => "/setup",
            Self::Health => "/health",
            Self::Settings => "/settings",
        }
    }
}

/// A short text with a colour; the text alone is sufficient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chip {
    /// Class of the colour: `ok`, `warn`, `bad` or empty.
    pub(super) tone: &'static str,
    /// The text.
    pub(super) words: String,
}

impl Chip {
    /// Creates a chip.
    pub(super) fn new(tone: &'static str, words: impl Into<String>) -> Self {
        Self { tone, words: words.into() }
    }
}

/// Notice of the last action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageNotice {
    /// Text of the notice.
    pub(super) words: &'static str,
    /// Set if the action failed.
    pub(super) bad: bool,
}

impl PageNotice {
    /// Notice of a code in the query.
    fn named(code: &str) -> Option<Self> {
        let (_, bad, words) = NOTICES.iter().find(|(known, ..)| *known == code)?;
        Some(Self { words: tr(words), bad: *bad })
    }
}

/// All notices, by code. The query holds a code only, so that nobody can make a page show another text.
const NOTICES: &[(&str, bool, &str)] = &[
    ("renamed", false, key("The device was renamed.")),
    ("saved", false, key("The setting was saved.")),
    ("muted", false, key("Muted. Its alarms are still stored and delivered.")),
    ("unmuted", false, key("The mute was lifted.")),
    ("cleared", false, key("The state was set to off.")),
    ("removed", false, key("The device was removed. It reappears at its next alarm.")),
    ("dismissed", false, key("Dismissed. It is shown again as soon as it is seen again.")),
    ("tested", false, key("A test alarm was sent, as a simulated camera sends it.")),
    ("reviewed", false, key("Marked as reviewed.")),
    ("unreviewed", false, key("The mark was lifted.")),
    ("replayed", false, key("It was sent again to every sink, marked as replayed.")),
    ("retried", false, key("The message is tried again.")),
    ("dropped", false, key("The message was dropped.")),
    ("gone", true, key("That is not there any more; nothing was changed.")),
    ("stopping", true, key("The bridge is stopping; nothing was changed.")),
];

/// Every text of the scripts.
const SCRIPT_TEXTS: &[&str] = &[
    key("just now"),
    key("{} s ago"),
    key("{} min ago"),
    key("{} h ago"),
    key("{} days ago"),
    key("{} (your time), {}"),
    key("Live"),
    key("Reconnecting"),
    key("No connection to alarmbus"),
    key("The connection to alarmbus is lost"),
    key("Copy"),
    key("Copied"),
    key("Copied: {}"),
    key("On"),
    key("Off"),
    key("Browsers show notifications only of pages opened by https or on this machine."),
    key("This browser does not allow them: see its settings for this page."),
];

/// Data of the frame of a page.
#[derive(Debug)]
pub(super) struct Frame {
    /// Current page; `None` for a page without a tab.
    tab: Option<Tab>,
    /// Title of the page.
    pub(super) title: Cow<'static, str>,
    /// Overall state.
    pub(super) mood: Chip,
    /// Path of the page that explains the state.
    pub(super) mood_path: &'static str,
    /// Notice of the last action.
    pub(super) notice: Option<PageNotice>,
    /// Set if there is a session to end.
    pub(super) logged_in: bool,
    /// Version of alarmbus; makes browsers fetch new assets after an update.
    pub(super) version: &'static str,
    /// Time at which the page was made, for the script: the viewer's clock may be wrong.
    pub(super) now: String,
    /// Delivery check made for the page.
    pub(super) chain: Vec<Tick>,
    /// Preferences of the viewer.
    pub(super) preferences: Preferences,
    /// One more event of the stream after which the page is asked for again.
    more_event: &'static str,
}

impl FromRequestParts<Web> for Frame {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let done = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "done");
        let logged_in = parts.extensions.get().copied().unwrap_or_default();
        let frame = Self::new(check_anyhow(web).await, logged_in, Timestamp::now());
        Ok(Self { notice: done.and_then(|(_, done)| PageNotice::named(&done)), ..frame })
    }
}

impl Frame {
    fn new(Checked { chain, overall }: Checked, LoggedIn(logged_in): LoggedIn, now: Timestamp) -> Self {
        Self {
            tab: None,
            title: "".into(),
            mood_path: if overall.blocked.is_some() || overall.state == OverallState::Waiting {
                Tab::Setup.path()
            } else {
                Tab::Health.path()
            },
            mood: mood(&overall),
            notice: None,
            logged_in,
            version: env!("CARGO_PKG_VERSION"),
            now: utc(now),
            chain,
            preferences: Preferences::current(),
            more_event: "",
        }
    }

    /// Frame of a page with a tab.
    pub(super) fn of(self, tab: Tab) -> Self {
        Self { tab: Some(tab), title: tab.title().into(), ..self }
    }

    /// Frame with another title.
    pub(super) fn titled(self, title: impl Into<Cow<'static, str>>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Frame of an error page.
    pub(super) async fn of_trouble(
        web: &Web,
        logged_in: LoggedIn,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(check_anyhow(web).await, logged_in, Timestamp::now()).titled(title)
    }

    /// Returns whether a tab is the current page.
    pub(super) fn shows(&self, tab: &Tab) -> bool {
        self.tab.as_ref() == Some(tab)
    }

    /// Names of the stream events after which the script fetches the page again.
    pub(super) fn event_names(&self) -> String {
        format!("alarm skipped health findings chain {}", self.more_event).trim_end().to_owned()
    }

    /// The same with one more event.
    pub(super) fn hearing(self, more_event: &'static str) -> Self {
        Self { more_event, ..self }
    }

    /// Texts of the scripts in the viewer's language, as JSON.
    pub(super) fn script_texts(&self) -> String {
        let texts: BTreeMap<&str, &str> = SCRIPT_TEXTS.iter().map(|text| (*text, tr(text))).collect();
        serde_json::to_string(&texts).unwrap_or_default()
    }

    /// All tabs.
    pub(super) fn tabs(&self) -> &'static [Tab] {
        &Tab::ALL
    }
}

/// Chip of the overall state.
pub(super) fn mood(overall: &Overall) -> Chip {
    let tone = match overall.state {
        OverallState::Well => "ok",
        OverallState::Waiting => "",
        OverallState::Warning => "warn",
        OverallState::Problem => "bad",
    };
    Chip::new(tone, overall.words.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_are_said() {
        assert_eq!(PageNotice::named("renamed").unwrap().words, "The device was renamed.");
        assert!(PageNotice::named("<b>").is_none() && PageNotice::named("").is_none());
    }
}
