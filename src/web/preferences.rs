//! Preferences of a viewer for the pages: language and theme, in cookies, so that the first byte of a page is right already.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use axum::middleware::Next;
use axum::response::Response;

use super::texts::language::Language;

/// Name of the cookie with the theme.
pub(super) const THEME: &str = "alarmbus_theme";
/// Name of the cookie with the language.
pub(super) const LANGUAGE: &str = "alarmbus_language";

tokio::task_local! {
    static CURRENT: Preferences;
}

/// Colours of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Theme {
    /// As the system of the viewer.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// Preferences of a viewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Preferences {
    /// Language of the texts.
    pub(super) language: Language,
    /// Colours.
    pub(super) theme: Theme,
}

impl Theme {
    /// All of them, in the order of the page of settings.
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Its name in the cookie.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Value of `color-scheme`.
    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::System => "light dark",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The media for which the dark style sheet counts.
    pub(super) fn dark_media(self) -> &'static str {
        match self {
            Self::System => "(prefers-color-scheme: dark)",
            Self::Light => "not all",
            Self::Dark => "all",
        }
    }
}

impl Preferences {
    /// Those of the request that is answered; the defaults outside of one.
    pub(super) fn current() -> Self {
        CURRENT.try_with(|current| *current).unwrap_or_default()
    }

    /// Reads them from the cookies; the language, where none was chosen, from what the browser accepts.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let theme = cookie(headers, THEME);
        let chosen = cookie(headers, LANGUAGE).and_then(Language::named);
        let accepted = || {
            let accepted = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
            accepted.split(',').find_map(|range| Language::named(range.split([';', '-']).next()?.trim()))
        };
        Self {
            language: chosen.or_else(accepted).unwrap_or_default(),
            theme: Theme::ALL.into_iter().find(|known| Some(known.word()) == theme).unwrap_or_default(),
        }
    }

    /// Runs something on this thread for a viewer with these.
    pub(super) fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    /// Awaits something for a viewer with these.
    pub(super) async fn during<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }
}

/// Answers a request in the viewer's language.
pub(super) async fn apply(request: Request, next: Next) -> Response {
    Preferences::of(request.headers()).during(next.run(request)).await
}

/// Value of a cookie.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_wins_over_what_the_browser_accepts() {
        let of = |cookie: &'static str, accepted: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static(cookie));
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accepted));
            Preferences::of(&headers)
        };
        assert_eq!(of("", "fr, de-AT;q=0.9, en").language, Language::German);
        assert_eq!(of("", "fr").language, Language::English);
        let chosen = of("a=b; alarmbus_language=es; alarmbus_theme=dark", "de");
        assert_eq!(chosen, Preferences { language: Language::Spanish, theme: Theme::Dark });
        assert_eq!(of("alarmbus_language=xx; alarmbus_theme=pink", "it").theme, Theme::System);
    }
}
