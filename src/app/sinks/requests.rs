//! Answers requests from a broker's clients by calling the API, which validates them.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use axum::http::StatusCode;

use crate::findings::FindingCode;
use crate::model::{EventName, Source};
use crate::outbox::DeviceChange;
use crate::sink::request::Request;
use crate::web::api::control::{MuteBody, UnmuteBody, muted, unmuted};
use crate::web::api::{alarms, devices};
use crate::web::{Problem, Web};

/// Accepted verbs.
const VERBS: &str = "list, rename, mute, unmute, replay, clear";

/// Request for a list of devices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    source: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// Request to rename a device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    source: String,
    name: String,
}

/// Request to mute a device.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mute {
    source: String,
    event: Option<String>,
    seconds: Option<u64>,
}

/// Request that names a device, or one event of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kind {
    source: String,
    event: Option<String>,
}

/// Request to publish an alarm again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    alarm: Uuid,
}

/// Answers requests until the channel closes or the bridge stops.
pub(in crate::app) async fn answer(web: Web, mut requests: mpsc::Receiver<Request>) {
    let stop = web.stop.clone();
    let work = async {
        while let Some(request) = requests.recv().await {
            one(&web, request).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn one(web: &Web, request: Request) {
    let Request { topic, verb, body, answer } = request;
    let (done, id) = match parse(&body) {
        Ok((asked, id)) => (handle(web, &verb, asked).await, id),
        Err(problem) => (Err(problem), None),
    };
    match (answer, done) {
        (Some(answer), done) => {
            tracing::info!(
                request.topic = topic,
                request.ok = done.is_ok(),
                "a request was received over the broker"
            );
            // The requester may have disconnected.
            answer.send(rendered(done, id)).ok();
        }
        // Removing a mute that is not set succeeds, as for a switch that is already off.
        (None, Err(problem)) if verb != "unmute" || problem.status != 404 => {
            web.findings.raise(
                FindingCode::BusRequestRefused,
                &topic,
                &format!("{}: {}", problem.detail, problem.remedy),
            );
        }
        (None, _) => web.findings.settle(FindingCode::BusRequestRefused, &topic),
    }
}

/// Parses the body as an object and takes out the `id` that the answer repeats.
fn parse(body: &Bytes) -> Result<(Value, Option<Value>), Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok((json!({}), None));
    }
    let object: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    let mut object = object.map_err(|error| wrong(&format!("the payload is not a JSON object: {error}")))?;
    let id = object.remove("id");
    Ok((Value::Object(object), id))
}

/// Performs the request.
async fn handle(web: &Web, verb: &str, asked: Value) -> Result<Value, Problem> {
    match verb {
        "list" => list(web, read(asked)?).await,
        "rename" => {
            let Rename { source, name } = read(asked)?;
            devices::renamed(web, known(&source)?, &name).await.map(|_| json!({}))
        }
        "mute" => {
            let Mute { source, event, seconds } = read(asked)?;
            muted(web, known(&source)?, &MuteBody { event, seconds }).await.map(|_| json!({}))
        }
        "unmute" => {
            let Kind { source, event } = read(asked)?;
            unmuted(web, known(&source)?, &UnmuteBody { event }).await.map(|_| json!({}))
        }
        "clear" => {
            let Kind { source, event } = read(asked)?;
            let event = event.as_deref().map(EventName::new);
            devices::change(web, DeviceChange::Clear(known(&source)?, event)).await.map(|_| json!({}))
        }
        "replay" => {
            let Replay { alarm } = read(asked)?;
            alarms::send_again(web, alarm).await.map(|_| json!({}))
        }
        other => {
            let detail = format!("there is no request {other:?}");
            Err(Problem::new(StatusCode::NOT_FOUND, detail, format!("ask for one of {VERBS}")))
        }
    }
}

/// Lists devices, or one of them.
async fn list(web: &Web, List { source, after, limit }: List) -> Result<Value, Problem> {
    let found = match source {
        Some(source) => {
            let source = known(&source)?;
            let found = web.read(move |reader| reader.device(&source)).await?;
            let state = found.ok_or_else(|| Problem::not_found("device of this source"))?;
            serde_json::to_value(devices::DevicePage { devices: vec![state.into()], next: None })
        }
        None => serde_json::to_value(devices::page(web, devices::DeviceQuery { after, limit }).await?),
    };
    found.map_err(|error| Problem::internal(&error.to_string()))
}

fn known(source: &str) -> Result<Source, Problem> {
    Source::from_known(source).ok_or_else(|| Problem::not_found("device of this source"))
}

fn read<T: DeserializeOwned>(asked: Value) -> Result<T, Problem> {
    serde_json::from_value(asked).map_err(|error| wrong(&format!("the payload: {error}")))
}

fn wrong(detail: &str) -> Problem {
    let remedy = "docs/topics.md has the keys of each request";
    Problem::new(StatusCode::BAD_REQUEST, detail, remedy)
}

/// Renders the answer as a message payload.
fn rendered(done: Result<Value, Problem>, id: Option<Value>) -> Bytes {
    let mut answer = match done {
        Ok(data) => json!({"ok": true, "data": data}),
        Err(Problem { status, detail, remedy, .. }) => {
            json!({"ok": false, "status": status, "detail": detail, "remedy": remedy})
        }
    };
    if let (Some(id), Some(answer)) = (id, answer.as_object_mut()) {
        answer.insert("id".into(), id);
    }
    answer.to_string().into()
}
