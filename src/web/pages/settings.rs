//! The Settings page: what the viewer chose for the pages, and the settings in force with the origin of each.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::frame::{Frame, Tab};
use super::html;
use crate::web::filters;
use crate::web::preferences::{LANGUAGE, Preferences, THEME, Theme};
use crate::web::texts::language::Language;
use crate::web::texts::tr;
use crate::web::{PageQuery, Problem, Setting, Web};

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// Settings with this text in key, value or origin.
    q: Option<String>,
    /// Any value: those that nobody set too.
    all: Option<String>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "settings.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    chosen: Preferences,
    themes: [(Theme, &'static str); 3],
    languages: &'static [Language],
    words: String,
    all: bool,
    settings: Vec<Setting>,
    /// Number of settings that nobody set and that are not shown.
    defaults: usize,
}

/// The form of the viewer's preferences.
#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    theme: String,
    language: String,
}

/// Answers with the page.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    PageQuery(asked): PageQuery<Asked>,
) -> Result<Response, Problem> {
    let words = asked.q.unwrap_or_default();
    let all = asked.all.is_some();
    let wanted = words.to_lowercase();
    let known = web.bridge.settings();
    let is_set = |setting: &Setting| setting.origin != "default";
    let defaults = known.iter().filter(|setting| !is_set(setting)).count();
    let has_words = |setting: &Setting| {
        [&setting.key, &setting.value, &setting.origin]
            .iter()
            .any(|text| text.to_lowercase().contains(&wanted))
    };
    let shown = |setting: &Setting| has_words(setting) && (all || !wanted.is_empty() || is_set(setting));
    html(&Page {
        frame: frame.of(Tab::Settings),
        chosen: Preferences::current(),
        themes: [
            (Theme::System, tr("As the system")),
            (Theme::Light, tr("Light")),
            (Theme::Dark, tr("Dark")),
        ],
        languages: &Language::ALL,
        settings: known.into_iter().filter(shown).collect(),
        defaults: if all || !wanted.is_empty() { 0 } else { defaults },
        words,
        all,
    })
}

/// Keeps the viewer's preferences in cookies.
pub(super) async fn choose(Form(form): Form<Chosen>) -> Response {
    let theme = Theme::ALL.into_iter().find(|theme| theme.word() == form.theme).unwrap_or_default();
    let language = Language::named(&form.language).map_or("", Language::code);
    let mut response = Redirect::to("/settings?done=saved").into_response();
    for (name, value) in [(THEME, theme.word()), (LANGUAGE, language)] {
        // A year; without a language the browser's own counts again.
        let age = if value.is_empty() { 0 } else { 31_536_000 };
        let text = format!("{name}={value}; Path=/; SameSite=Lax; HttpOnly; Max-Age={age}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}
