//! The pages: rendered on the server, with style sheets and scripts of their own, and nothing from elsewhere.
//!
//! Every page works without a script. With it, the event stream reports changes, the page is fetched again, and
//! differing elements are replaced; so there is one way to make a page.

use askama::Template;
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

mod actions;
mod alarm;
mod devices;
mod finding;
mod frame;
mod health;
mod history;
mod live;
mod log;
mod mapping;
mod requests;
mod settings;
mod setup;

use super::{Problem, Web, preferences};
pub(super) use frame::trouble::trouble;

/// Router of all pages and their form actions.
pub(super) fn router(web: &Web) -> Router<Web> {
    Router::new()
        .route("/", get(live::page))
        .route("/alarms/{id}/replay", post(actions::replay))
        .route("/alarms/{id}/review", post(actions::review))
        .route("/history", get(history::page))
        .route("/devices", get(devices::page))
        .route("/devices/{source}", get(devices::one))
        .route("/devices/{source}/rename", post(devices::changes::rename))
        .route("/devices/{source}/area", post(devices::changes::area))
        .route("/devices/{source}/hold", post(devices::changes::hold))
        .route("/devices/{source}/mute", post(devices::changes::mute))
        .route("/devices/{source}/unmute", post(devices::changes::unmute))
        .route("/devices/{source}/clear", post(devices::changes::clear))
        .route("/devices/{source}/remove", post(devices::changes::remove))
        .route("/requests", get(requests::page))
        .route("/requests/{no}", get(requests::one))
        .route("/requests/{no}/capture", get(requests::capture))
        .route("/requests/{no}/body", get(requests::body))
        .route("/requests/{no}/mapping", get(mapping::page).post(mapping::change))
        .route("/requests/{no}/mapping/file", post(mapping::file))
        .route("/requests/{no}/mapping/save", get(mapping::page).post(mapping::save))
        .route("/requests/{no}/replay", post(actions::replay_request))
        .route("/setup", get(setup::page).post(setup::reveal))
        .route("/setup/test", post(actions::send_test))
        .route("/health", get(health::page))
        .route("/findings/dismiss", post(actions::dismiss))
        .route("/parked/{no}/retry", post(actions::retry))
        .route("/parked/{no}/drop", post(actions::drop_parked))
        .route("/settings", get(settings::page))
        .route("/preferences", post(settings::choose))
        .route("/log", get(log::page))
        .merge(frame::assets::router())
        .layer(from_fn_with_state(web.clone(), frame::trouble::as_page))
        .layer(from_fn(preferences::apply))
}

/// Response with a page.
///
/// # Errors
/// When the page cannot be rendered, which is a bug.
fn html(page: &impl Template) -> Result<Response, Problem> {
    let text = page.render().map_err(|error| Problem::internal(&error.to_string()))?;
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
