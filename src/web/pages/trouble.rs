//! What went wrong, as a page with cause and remedy.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::frame::Frame;
use super::html;
use super::moment::sentence;
use crate::web::Problem;

#[derive(Debug, Template)]
#[template(path = "trouble.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    title: &'static str,
    words: String,
    remedy: String,
}

/// A problem as a page.
pub(in crate::web) fn trouble(problem: &Problem) -> Response {
    let page = Page {
        frame: Frame::of_trouble(problem.title, Timestamp::now()),
        title: problem.title,
        words: sentence(&problem.detail),
        remedy: sentence(&problem.remedy),
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    html(&page).map_or_else(IntoResponse::into_response, |page| (status, page).into_response())
}

/// Whatever a page could not do, its handler or the router's own reading of address and form, becomes a page.
pub(super) async fn as_page(response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let mut page = trouble(response.extensions().get().unwrap_or(&unread(status)));
    if let Some(allowed) = response.headers().get(ALLOW) {
        page.headers_mut().insert(ALLOW, allowed.clone());
    }
    page
}

/// What the router itself refuses, in words.
fn unread(status: StatusCode) -> Problem {
    let words = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this address only takes what the form of its page sends",
        _ => "the address, or what the form sent, cannot be read",
    };
    Problem::new(status, words, "open the page again by its tab, and use its buttons")
}
