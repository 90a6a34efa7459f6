//! Pages for callers that were not admitted: the login form and the reason for a refusal. Programs get a problem
//! document instead.

use askama::Template;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse as _, Redirect, Response};

use super::local::Denied;
use crate::http::Problem;
use crate::web::words::sentence;

/// Template of both pages.
#[derive(Debug, Template)]
#[template(path = "entrance.html", config = "src/web/askama.toml")]
struct Page<'a> {
    title: &'static str,
    problem: &'a str,
    remedy: &'static str,
    form: bool,
    version: &'static str,
}

/// Returns whether a browser asks for a page, or sends a form of one.
pub(super) fn wants_page(parts: &Parts) -> bool {
    parts
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kinds| kinds.contains("text/html"))
}

/// Login form, with the problem of the previous attempt.
pub(super) fn login(status: StatusCode, problem: &str) -> Response {
    page(
        status,
        &Page { title: "Log in", problem, remedy: "", form: true, version: env!("CARGO_PKG_VERSION") },
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
            "You are no longer logged in, so nothing was changed. Log in and try again.",
        ),
        Denied::NotLoggedIn
        | Denied::WrongToken
        | Denied::TooManyGuesses
        | Denied::NotThisHost
        | Denied::Forwarded
        | Denied::WrongHost
        | Denied::OtherSite => {
            let (problem, remedy) = (denied.to_string(), denied.remedy());
            let page_of = Page {
                title: "Not allowed",
                problem: &format!("{}.", sentence(&problem)),
                remedy,
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
