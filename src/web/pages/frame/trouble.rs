//! Error pages with cause and remedy.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Frame;
use crate::web::filters;
use crate::web::pages::html;
use crate::web::texts::{key, tr_of};
use crate::web::words::{Prose, sentence};
use crate::web::{LoggedIn, Problem, Web};

#[derive(Debug, Template)]
#[template(path = "trouble.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    title: String,
    words: Prose,
    remedy: Prose,
    /// Set if a later attempt may succeed.
    again: bool,
}

/// Titles, causes and remedies of problems that occur on pages; programs get them in English.
const PROBLEMS: &[&str] = &[
    key("Not Found"),
    key("Bad Request"),
    key("Method Not Allowed"),
    key("Bad Gateway"),
    key("Service Unavailable"),
    key("Invalid request"),
    key("Database cannot be read"),
    key("there is nothing at this address"),
    key(
        "use the tabs above; the API is described at /api/v1/openapi.json. Cameras push to another port: see Setup",
    ),
    key("there is no alarm of this id"),
    key("there is no device of this source"),
    key("there is no device of this name"),
    key("there is no request of this number (any more)"),
    key("it may have been deleted; list the existing ones"),
    key("this address only takes what the form of its page sends"),
    key("the address, or what the form sent, cannot be read"),
    key("open the page again by its tab, and use its buttons"),
    key("look at the Requests page for what came of it, and at Health"),
    key("/api/v1/openapi.json describes the accepted values"),
    key("free space or fix the permissions of the storage folder; alarms are held in memory meanwhile"),
    key("the bridge is stopping"),
    key("try again when it has restarted"),
    key("a bug in alarmbus"),
    key("see the log"),
];

/// A problem as a page.
pub(in crate::web) async fn trouble(web: &Web, logged_in: LoggedIn, problem: &Problem) -> Response {
    let page = Page {
        frame: Frame::of_trouble(web, logged_in, tr_of(PROBLEMS, problem.title)).await,
        title: tr_of(PROBLEMS, problem.title),
        words: sentence(&tr_of(PROBLEMS, &problem.detail)).into(),
        remedy: sentence(&tr_of(PROBLEMS, &problem.remedy)).into(),
        again: 500 <= problem.status,
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    html(&page).map_or_else(IntoResponse::into_response, |page| (status, page).into_response())
}

/// Converts errors of handlers, and of the router's own parsing of paths and forms, into pages.
pub(in crate::web::pages) async fn as_page(
    State(web): State<Web>,
    logged_in: LoggedIn,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions().get().cloned().unwrap_or_else(|| unread(status));
    let mut page = trouble(&web, logged_in, &problem).await;
    if let Some(allowed) = response.headers().get(ALLOW) {
        page.headers_mut().insert(ALLOW, allowed.clone());
    }
    page
}

/// Explains what the router itself refused.
fn unread(status: StatusCode) -> Problem {
    let words = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this address only takes what the form of its page sends",
        _ => "the address, or what the form sent, cannot be read",
    };
    Problem::new(status, words, "open the page again by its tab, and use its buttons")
}
