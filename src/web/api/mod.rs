//! The API: everything the pages show, as JSON under `/api/v1`. `ROUTES` is the one description of it: the router
//! and the OpenAPI document are both made from it.

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};

pub mod alarms;
pub mod backlog;
pub mod devices;
pub mod events;
mod openapi;
pub mod parked;
pub mod requests;
pub mod setup;
pub mod state;
pub mod webhooks;

use super::{Problem, Web};

/// Where the API is.
pub const BASE: &str = "/api/v1";

/// One operation.
pub(crate) struct Route {
    /// `get` or `post`.
    pub(crate) method: &'static str,
    /// Behind [`BASE`]; the same syntax in axum and OpenAPI.
    pub(crate) path: &'static str,
    /// What it is for.
    pub(crate) summary: &'static str,
    /// Its parameters: where, name, JSON type, what it means.
    pub(crate) parameters: &'static [Parameter],
    /// The schema of the body it takes.
    pub(crate) body: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The schema of its answer; none: an event stream.
    pub(crate) answer: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Answers it.
    handler: fn() -> MethodRouter<Web>,
}

/// A parameter: where it stands (`path`, `query`), its name, its JSON type, what it means.
pub(crate) type Parameter = (&'static str, &'static str, &'static str, &'static str);

const LIMIT: Parameter = ("query", "limit", "integer", "At most so many, 1 to 500; 50 without it.");
const BEFORE: Parameter = ("query", "before", "integer", "The page after one whose `next` was this.");
const SOURCE: Parameter = ("path", "source", "string", "The topic level of the device.");

/// The schema of a type.
fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Every operation.
pub(crate) static ROUTES: &[Route] = &[
    Route {
        method: "get",
        path: "/alarms",
        summary: "Alarms, newest first.",
        parameters: &[
            ("query", "source", "string", "Of this device only."),
            ("query", "event", "string", "Of this kind only."),
            ("query", "since", "string", "Received at or after this moment (RFC 3339)."),
            BEFORE,
            LIMIT,
        ],
        body: None,
        answer: Some(of::<alarms::AlarmPage>),
        handler: || get(alarms::list),
    },
    Route {
        method: "get",
        path: "/alarms/{id}",
        summary: "One alarm: as published, where it went, and the request it came with.",
        parameters: &[("path", "id", "string", "The alarm's id.")],
        body: None,
        answer: Some(of::<alarms::AlarmDetail>),
        handler: || get(alarms::one),
    },
    Route {
        method: "post",
        path: "/alarms/{id}/replay",
        summary: "Sends an alarm again, with the same id and marked as replayed; touches no activity, state or picture.",
        parameters: &[("path", "id", "string", "The alarm's id.")],
        body: None,
        answer: Some(of::<state::Done>),
        handler: || post(alarms::replay),
    },
    Route {
        method: "get",
        path: "/alarms-by-hour",
        summary: "Alarms of the last hours, at most the latest 100,000, counted by the hour they were received in.",
        parameters: &[("query", "hours", "integer", "So many hours back, 1 to 744; 24 without it.")],
        body: None,
        answer: Some(of::<alarms::Hours>),
        handler: || get(alarms::hours),
    },
    Route {
        method: "get",
        path: "/devices",
        summary: "Devices, in the order of their sources.",
        parameters: &[("query", "after", "string", "The page after one whose `next` was this."), LIMIT],
        body: None,
        answer: Some(of::<devices::DevicePage>),
        handler: || get(devices::list),
    },
    Route {
        method: "get",
        path: "/devices/{source}",
        summary: "One device.",
        parameters: &[SOURCE],
        body: None,
        answer: Some(of::<devices::DeviceRow>),
        handler: || get(devices::one),
    },
    Route {
        method: "post",
        path: "/devices/{source}/rename",
        summary: "Gives a device another name to show; an empty one takes the given name back.",
        parameters: &[SOURCE],
        body: Some(of::<devices::Rename>),
        answer: Some(of::<state::Done>),
        handler: || post(devices::rename),
    },
    Route {
        method: "post",
        path: "/devices/{source}/clear",
        summary: "Ends what goes on at a device: one kind, or everything.",
        parameters: &[SOURCE],
        body: Some(of::<devices::Clear>),
        answer: Some(of::<state::Done>),
        handler: || post(devices::clear),
    },
    Route {
        method: "post",
        path: "/devices/{source}/remove",
        summary: "Forgets a device; its retained topics are emptied.",
        parameters: &[SOURCE],
        body: None,
        answer: Some(of::<state::Done>),
        handler: || post(devices::remove),
    },
    Route {
        method: "get",
        path: "/requests",
        summary: "Requests, newest first, as far back as they are kept.",
        parameters: &[BEFORE, LIMIT],
        body: None,
        answer: Some(of::<requests::RequestPage>),
        handler: || get(requests::list),
    },
    Route {
        method: "get",
        path: "/requests/{no}",
        summary: "One request as it came, secrets masked.",
        parameters: &[("path", "no", "integer", "Its number.")],
        body: None,
        answer: Some(of::<requests::RequestDetail>),
        handler: || get(requests::one),
    },
    Route {
        method: "get",
        path: "/findings",
        summary: "What was seen that is worth knowing, worst first, each with cause and remedy.",
        parameters: &[],
        body: None,
        answer: Some(of::<state::FindingList>),
        handler: || get(state::findings),
    },
    Route {
        method: "get",
        path: "/health",
        summary: "How the bridge is: health as published, listeners, disk.",
        parameters: &[],
        body: None,
        answer: Some(of::<state::HealthReport>),
        handler: || get(state::health),
    },
    Route {
        method: "get",
        path: "/sinks",
        summary: "How each sink is doing.",
        parameters: &[],
        body: None,
        answer: Some(of::<state::SinkList>),
        handler: || get(state::sinks),
    },
    Route {
        method: "post",
        path: "/sinks/{sink}/rewind",
        summary: "Sends a sink everything received since a moment again, with the same ids.",
        parameters: &[("path", "sink", "string", "Its name: mqtt, nats, stdout.")],
        body: Some(of::<backlog::Rewind>),
        answer: Some(of::<backlog::Rewound>),
        handler: || post(backlog::rewind),
    },
    Route {
        method: "post",
        path: "/outbox/recover",
        summary: "Delivers what a database that was set aside still holds.",
        parameters: &[],
        body: Some(of::<backlog::Recover>),
        answer: Some(of::<backlog::Recovered>),
        handler: || post(backlog::recover),
    },
    Route {
        method: "get",
        path: "/parked",
        summary: "Messages that a sink will not have, latest first.",
        parameters: &[BEFORE, LIMIT],
        body: None,
        answer: Some(of::<parked::ParkedPage>),
        handler: || get(parked::list),
    },
    Route {
        method: "post",
        path: "/parked/{no}/retry",
        summary: "Tries a parked message again on its sink, marked as replayed.",
        parameters: &[("path", "no", "integer", "Its number.")],
        body: None,
        answer: Some(of::<state::Done>),
        handler: || post(parked::retry),
    },
    Route {
        method: "post",
        path: "/parked/{no}/drop",
        summary: "Forgets a parked message.",
        parameters: &[("path", "no", "integer", "Its number.")],
        body: None,
        answer: Some(of::<state::Done>),
        handler: || post(parked::forget),
    },
    Route {
        method: "get",
        path: "/setup",
        summary: "What to type into a camera, and how far the first alarm has come.",
        parameters: &[],
        body: None,
        answer: Some(of::<setup::Setup>),
        handler: || get(setup::setup),
    },
    Route {
        method: "get",
        path: "/webhooks",
        summary: "The webhooks; without a login their secret part is `***`.",
        parameters: &[],
        body: None,
        answer: Some(of::<webhooks::WebhookList>),
        handler: || get(webhooks::list),
    },
    Route {
        method: "post",
        path: "/webhooks/reveal",
        summary: "The webhooks, secret paths included.",
        parameters: &[],
        body: None,
        answer: Some(of::<webhooks::WebhookList>),
        handler: || post(webhooks::reveal),
    },
    Route {
        method: "post",
        path: "/webhooks",
        summary: "Adds a webhook with a new secret path.",
        parameters: &[],
        body: Some(of::<webhooks::Add>),
        answer: Some(of::<super::WebhookInfo>),
        handler: || post(webhooks::add),
    },
    Route {
        method: "post",
        path: "/webhooks/{id}/rotate",
        summary: "Gives a webhook a new secret path; the old one stays valid for a while.",
        parameters: &[("path", "id", "string", "The webhook's name.")],
        body: Some(of::<webhooks::Rotate>),
        answer: Some(of::<super::WebhookInfo>),
        handler: || post(webhooks::rotate),
    },
    Route {
        method: "get",
        path: "/events",
        summary: "What changes, as server-sent events: `alarm`, `findings`, `health`, `chain`.",
        parameters: &[(
            "query",
            "after",
            "integer",
            "Alarms after this number of the log first; new ones only without it.",
        )],
        body: None,
        answer: None,
        handler: || get(events::stream),
    },
    Route {
        method: "get",
        path: "/openapi.json",
        summary: "This description.",
        parameters: &[],
        body: None,
        answer: Some(of::<serde_json::Value>),
        handler: || get(openapi::document),
    },
];

/// All operations of the table; everything else under [`BASE`] is a problem document.
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

/// How many a page shows.
fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(50),
        Some(limit @ 1..=500) => Ok(limit),
        Some(_) => Err(Problem::bad("`limit` is 1 to 500")),
    }
}

/// The number in a path.
fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::bad(format!("{text:?} is no number")))
}

/// The device in a path.
fn source(text: &str) -> Result<crate::model::Source, Problem> {
    crate::model::Source::from_known(text).ok_or_else(|| Problem::not_found("device of this source"))
}
