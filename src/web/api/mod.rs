//! The API: everything the pages show, as JSON under `/api/v1`. `ROUTES` is the one description of it: the router
//! and the OpenAPI document are both made from it.

use axum::Router;
use axum::routing::{self, MethodRouter};
use schemars::JsonSchema;
use serde::Deserialize;

pub mod alarms;
pub mod cluster;
pub mod control;
pub mod delivery;
pub mod devices;
pub mod events;
pub mod log;
mod openapi;
pub mod requests;
pub mod review;
pub mod setup;
pub mod state;
pub mod webhooks;

use super::{Problem, Web};
use openapi::{Operation, described};

/// Path of the API.
pub const BASE: &str = "/api/v1";

/// An operation of the API.
pub(crate) struct Route {
    /// `get` or `post`.
    pub(crate) method: &'static str,
    /// Path behind [`BASE`]; the same syntax in axum and OpenAPI.
    pub(crate) path: &'static str,
    /// Purpose, in one sentence.
    pub(crate) summary: &'static str,
    /// Describes parameters, body and answer, which are the types of its handler.
    describe: fn(&mut Operation<'_>),
    /// Handles it.
    handler: fn() -> MethodRouter<Web>,
}

/// Declares the operations: method, path and handler of each, and its summary.
macro_rules! routes {
    ($($method:ident $path:literal $($handler:ident)::+ $summary:literal;)*) => {
        /// Table of all operations but those of submodules.
        pub(crate) static ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            summary: $summary,
            describe: |operation| described(&$($handler)::+, operation),
            handler: || routing::$method($($handler)::+),
        }),*];
    };
}

routes! {
    get "/alarms" alarms::list
        "Alarms, newest first.";
    get "/export/alarms.json" alarms::export::json
        "All alarms of a filter, newest first, as one list.";
    get "/export/alarms.csv" alarms::export::csv
        "All alarms of a filter, newest first, as a table.";
    get "/export/pictures.zip" alarms::export::pictures
        "The pictures of all alarms of a filter, in one archive.";
    get "/alarms-by-day" alarms::days::list
        "Alarms of a filter counted by day: from `since` to `until`, 366 days at most; 31 days without them.";
    get "/alarms/{id}" alarms::one
        "One alarm: as published, where it went, and the request it came with.";
    post "/alarms/{id}/review" review::review
        "Marks the alarms of a report as reviewed on this instance, or lifts the mark.";
    post "/alarms/{id}/replay" alarms::replay
        "Sends an alarm again, with the same id and marked as replayed; touches no activity, state or picture.";
    get "/alarms-by-hour" alarms::hours
        "Alarms of the last hours, at most the latest 100,000, counted by the hour they were received in.";
    get "/devices" devices::list
        "Devices, in the order of their sources.";
    get "/devices/{source}" devices::one
        "One device.";
    post "/devices/{source}/rename" devices::rename
        "Gives a device another name to show; an empty one restores the camera's own.";
    post "/devices/{source}/clear" devices::clear
        "Ends what goes on at a device: one kind, or everything.";
    post "/devices/{source}/remove" devices::remove
        "Forgets a device; its retained topics are emptied.";
    post "/devices/{source}/mute" control::mute
        "Mutes a device or one kind: its alarms are delivered and marked `muted`.";
    post "/devices/{source}/unmute" control::unmute
        "Lifts the mute of one kind, or all of a device.";
    post "/devices/{source}/area" control::area
        "Suggests another area to Home Assistant; an empty one takes it back.";
    post "/devices/{source}/hold" control::hold
        "Gives a device another hold; null takes it back.";
    get "/devices/{source}/settings" control::settings
        "The settings in force for a device, and where each comes from.";
    get "/requests" requests::list
        "Requests, newest first, as far back as they are kept.";
    get "/requests/{no}" requests::one
        "One request as received, secrets masked.";
    get "/findings" state::findings
        "What was seen that is worth knowing, worst first, each with cause and remedy.";
    post "/findings/dismiss" control::dismiss
        "Puts findings away until they are seen again.";
    get "/health" state::health
        "How the bridge is: health as published, listeners, disk.";
    get "/cluster" cluster::status
        "The cluster as this instance sees it: instances, partitions, streams.";
    get "/sinks" state::sinks
        "How each sink is doing.";
    post "/sinks/{sink}/rewind" delivery::backlog::rewind
        "Sends a sink everything received since a moment again, with the same ids.";
    post "/outbox/recover" delivery::backlog::recover
        "Delivers alarms from a damaged database file.";
    get "/parked" delivery::parked::list
        "Messages that a sink rejects, latest first.";
    post "/parked/{no}/retry" delivery::parked::retry
        "Tries a parked message again on its sink, marked as replayed.";
    post "/parked/{no}/drop" delivery::parked::forget
        "Forgets a parked message.";
    get "/setup" setup::setup
        "What to type into a camera, and how far the first alarm has come.";
    get "/webhooks" webhooks::list
        "The webhooks; without a login their secret part is `***`.";
    post "/webhooks/reveal" webhooks::reveal
        "The webhooks, secret paths included.";
    post "/webhooks" webhooks::add
        "Adds a webhook with a new secret path.";
    post "/webhooks/{id}/rotate" webhooks::rotate
        "Gives a webhook a new secret path; the old one stays valid for a while.";
    get "/events" events::stream
        "What changes, as server-sent events: `alarm`, `findings`, `health`, `chain` (with `overall`), `log` (the number of lines), `reviewed` (the number of marks set or lifted); `skipped` to a reader that is too far behind; `alive` every five seconds while there is nothing else.";
    get "/log" log::lines
        "The latest lines of the log, newest first, as far as they are kept in memory; secrets are masked.";
    get "/settings" log::settings
        "The settings in force, and where each comes from; secrets are masked.";
    get "/openapi.json" openapi::document
        "This description.";
    get "/asyncapi.json" openapi::topics
        "The description of all topics and messages (AsyncAPI 3).";
}

/// Router of all operations; any other path under [`BASE`] is answered with a problem document.
pub(super) fn router() -> Router<Web> {
    let mut router = Router::new();
    for route in ROUTES {
        router = router.route(route.path, (route.handler)());
    }
    let router = router
        .fallback(async || Problem::not_found("operation of this name"))
        .method_not_allowed_fallback(async || {
            let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
            Problem::new(status, "this operation takes another method", "see /api/v1/openapi.json")
        });
    Router::new().nest(BASE, router)
}

/// Parses the source of a device in a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct DevicePath {
    /// Topic level of the device.
    source: String,
}

/// A number in a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct NumberPath {
    /// Its number.
    #[schemars(with = "i64")]
    no: String,
}

/// Checks the number of rows requested for a page.
fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(50),
        Some(limit @ 1..=500) => Ok(limit),
        Some(_) => Err(Problem::bad("`limit` is 1 to 500")),
    }
}

/// Parses a number in a path.
fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::bad(format!("{text:?} is no number")))
}

/// Parses the source of a device in a path.
fn source(text: &str) -> Result<crate::model::Source, Problem> {
    crate::model::Source::from_known(text).ok_or_else(|| Problem::not_found("device of this source"))
}
