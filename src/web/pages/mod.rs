//! The pages: server-rendered, one style sheet, one small script, nothing from elsewhere.
//!
//! Every page reads well without a script. With it, the event stream says that something changed, the page is asked
//! for again, and what differs is exchanged in place: so there is one way to make a page, not two.

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};

mod actions;
mod alarm;
mod assets;
mod boxes;
mod devices;
mod finding;
mod frame;
mod health;
mod live;
mod moment;
mod parts;
mod requests;
mod setup;
mod timeline;
mod trouble;

use super::{Problem, Web};
pub(super) use trouble::trouble;

/// Only what is ours; nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All pages, and what their forms do.
pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/", get(live::page))
        .route("/alarms/{id}/replay", post(actions::replay))
        .route("/devices", get(devices::page))
        .route("/devices/{source}/rename", post(actions::rename))
        .route("/devices/{source}/clear", post(actions::clear))
        .route("/devices/{source}/remove", post(actions::remove))
        .route("/requests", get(requests::page))
        .route("/requests/{no}", get(requests::one))
        .route("/requests/{no}/capture", get(requests::capture))
        .route("/requests/{no}/replay", post(actions::replay_request))
        .route("/setup", get(setup::page).post(setup::reveal))
        .route("/health", get(health::page))
        .route("/parked/{no}/retry", post(actions::retry))
        .route("/parked/{no}/drop", post(actions::drop_parked))
        .route("/assets/style.css", get(assets::style))
        .route("/assets/script.js", get(assets::script))
        .route("/assets/icon.svg", get(assets::icon))
        .layer(map_response(trouble::as_page))
}

/// The answer with a page.
///
/// # Errors
/// When the page cannot be rendered, which would be a mistake of ours.
fn html(page: &impl Template) -> Result<Response, Problem> {
    let text = page.render().map_err(|error| Problem::internal(&error.to_string()))?;
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // With "no-referrer" browsers would send `Origin: null` with our own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
