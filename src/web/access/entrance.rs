//! Pages for callers that were not admitted: the login form and the reason for a refusal. Programs get a problem
//! document instead.

use askama::Template;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse as _, Redirect, Response};

use super::local::Denied;
use crate::http::Problem;
use crate::web::filters;
use crate::web::preferences::Preferences;
use crate::web::texts::{key, tr, tr_of};
use crate::web::words::sentence;

/// Template of both pages.
#[derive(Debug, Template)]
#[template(path = "entrance.html", config = "src/web/askama.toml")]
struct Page<'a> {
    preferences: Preferences,
    title: &'static str,
    problem: &'a str,
    remedy: &'a str,
    form: bool,
    version: &'static str,
}

/// Texts of [`Denied`] that a page shows; programs get them in English.
const DENIALS: &[&str] = &[
    key("not logged in"),
    key("wrong token"),
    key("too many wrong guesses"),
    key("only this host may use the page while it has no login"),
    key("a proxy may not stand in front of the page while it has no login"),
    key(
        "the page has no login, so it answers only to localhost, a loopback address, or the name in admin.public_url",
    ),
    key("the request comes from another site"),
    key("log in at /login, or send admin.token as Authorization: Bearer"),
    key("send the value of admin.token"),
    key("wait a minute"),
    key("set admin.password"),
    key("use http://localhost, or set admin.password"),
    key(
        "open alarmbus at its own address; behind a reverse proxy, set admin.public_url to the address that the browser shows",
    ),
];

/// Returns whether a browser asks for a page, or sends a form of one.
pub(super) fn wants_page(parts: &Parts) -> bool {
    parts
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kinds| kinds.contains("text/html"))
}

/// Login form, with the problem of the previous attempt, in the viewer's language.
pub(super) fn login(status: StatusCode, problem: &'static str) -> Response {
    page(
        status,
        &Page {
            preferences: Preferences::current(),
            title: tr("Log in"),
            problem: if problem.is_empty() { "" } else { tr(problem) },
            remedy: "",
            form: true,
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}

/// Response to a refused request: for a browser a page, with the login form where that helps; for a program a problem
/// document.
pub(super) fn refused(denied: Denied, parts: &Parts, has_login: bool) -> Response {
    if !wants_page(parts) {
        return denied.into_response();
    }
    match denied {
        Denied::NotLoggedIn if has_login && parts.method == Method::GET => {
            Redirect::to("/login").into_response()
        }
        Denied::NotLoggedIn if has_login => login(
            denied.status(),
            key("You are no longer logged in, so nothing was changed. Log in and try again."),
        ),
        Denied::NotLoggedIn
        | Denied::WrongToken
        | Denied::TooManyGuesses
        | Denied::NotThisHost
        | Denied::Forwarded
        | Denied::WrongHost
        | Denied::OtherSite => {
            let (problem, remedy) = (tr_of(DENIALS, &denied.to_string()), tr_of(DENIALS, denied.remedy()));
            let page_of = Page {
                preferences: Preferences::current(),
                title: tr("Not allowed"),
                problem: &format!("{}.", sentence(&problem)),
                remedy: &remedy,
                form: false,
                version: env!("CARGO_PKG_VERSION"),
            };
            page(denied.status(), &page_of)
        }
    }
}

fn page(status: StatusCode, page: &Page<'_>) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => Problem::internal(&error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denial_can_be_translated() {
        for denied in [
            Denied::NotLoggedIn,
            Denied::WrongToken,
            Denied::TooManyGuesses,
            Denied::NotThisHost,
            Denied::Forwarded,
            Denied::WrongHost,
            Denied::OtherSite,
        ] {
            assert!(DENIALS.contains(&denied.to_string().as_str()), "{denied}");
            assert!(DENIALS.contains(&denied.remedy()), "{}", denied.remedy());
        }
    }
}
