//! Devices: what they are, how they are, and what can be done about them.

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::{DONE, Done};
use crate::model::clock::utc;
use crate::model::{DeviceKind, EventName, Source};
use crate::outbox::DeviceChange;
use crate::outbox::history::DeviceState;
use crate::web::{Ask, Problem, Told, Web};

/// What can be asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceQuery {
    /// After this source.
    pub after: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// A page of devices.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "device_page")]
pub struct DevicePage {
    /// The devices, in the order of their sources.
    pub devices: Vec<DeviceRow>,
    /// The `after` of the next page; null at the end.
    pub next: Option<String>,
}

/// A device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "device_row")]
pub struct DeviceRow {
    /// The topic level.
    pub source: String,
    /// The name to show.
    pub name: String,
    /// The name given on the page or by `alarmbus devices rename`.
    pub renamed: Option<String>,
    /// The device's name for itself.
    pub reported_name: Option<String>,
    /// The MAC address.
    pub mac: Option<String>,
    /// The address it reports, else the peer's.
    pub ip: Option<String>,
    /// The vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// The channel.
    pub channel: Option<u32>,
    /// The recorder's source, for a channel.
    pub parent: Option<String>,
    /// When it was first heard.
    #[schemars(extend("format" = "date-time"))]
    pub first_heard: String,
    /// When it was last heard.
    #[schemars(extend("format" = "date-time"))]
    pub last_heard: String,
    /// Its alarms so far.
    pub alarms: u64,
    /// The sequence number of its latest.
    pub seq: u64,
    /// Device time less receipt time, in milliseconds, at its last alarm.
    pub clock_offset_ms: Option<i64>,
    /// Whether it is there; null while nothing checks it.
    pub available: Option<bool>,
    /// Why that is said.
    pub available_reason: Option<String>,
    /// Deleted in Home Assistant: not announced until its next alarm.
    pub hidden: bool,
    /// The kinds it has sent.
    pub kinds: Vec<KindRow>,
}

/// One kind a device has sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "kind_row")]
pub struct KindRow {
    /// The kind.
    pub event: String,
    /// The kind for people.
    pub title: String,
    /// It came with a picture at least once.
    pub picture: bool,
    /// It goes on now.
    pub on: bool,
}

/// Another name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rename")]
pub struct Rename {
    /// The name; empty: take the given one back.
    pub name: String,
}

/// What to end.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "clear")]
pub struct Clear {
    /// The kind; without it, everything.
    pub event: Option<String>,
}

impl From<DeviceState> for DeviceRow {
    fn from(state: DeviceState) -> Self {
        let DeviceState { device, published, ongoing } = state;
        let shown: Option<Value> = published.and_then(|text| serde_json::from_str(&text).ok());
        let name = shown.as_ref().and_then(|shown| shown.get("name")?.as_str().map(str::to_owned));
        let kind = |event: &EventName, picture| KindRow {
            event: event.to_string(),
            title: event.title(),
            picture,
            on: ongoing.contains(event),
        };
        Self {
            name: name.unwrap_or_else(|| device.name(None, None)),
            kinds: device.kinds.iter().map(|seen| kind(&seen.event, seen.picture)).collect(),
            source: device.source.to_string(),
            renamed: device.renamed,
            reported_name: device.reported_name,
            mac: device.mac.map(|mac| mac.to_string()),
            ip: device.ip,
            vendor: device.vendor,
            kind: device.kind,
            channel: device.channel,
            parent: device.parent.map(|parent| parent.to_string()),
            first_heard: utc(device.first_heard),
            last_heard: utc(Timestamp::from_millisecond(device.last_heard_ms).unwrap_or(device.first_heard)),
            alarms: device.alarms,
            seq: device.seq,
            clock_offset_ms: device.clock_offset_ms,
            available: device.available.as_ref().map(|(is, _)| *is),
            available_reason: device.available.map(|(_, why)| why),
            hidden: device.hidden,
        }
    }
}

/// A page of devices.
///
/// # Errors
/// When what is asked for is wrong, or the disk cannot be read.
pub async fn page(web: &Web, query: DeviceQuery) -> Result<DevicePage, Problem> {
    let limit = super::limit(query.limit)?;
    let after = query.after.unwrap_or_default();
    let mut found = web.read(move |reader| reader.devices(&after, limit + 1)).await?;
    let more = limit < found.len();
    found.truncate(limit);
    let next = if more { found.last().map(|state| state.device.source.to_string()) } else { None };
    Ok(DevicePage { devices: found.into_iter().map(DeviceRow::from).collect(), next })
}

/// Changes something about a device.
///
/// # Errors
/// When there is no such device or nothing to change, or the bridge is stopping.
pub async fn change(web: &Web, change: DeviceChange) -> Result<Done, Problem> {
    let clearing = matches!(change, DeviceChange::Clear(..));
    if web.outbox.device(change).await? {
        return Ok(DONE);
    }
    let gone = if clearing { "activity that goes on at this device" } else { "device of this source" };
    Err(Problem::not_found(gone))
}

/// A name without control characters, within the bound of names.
fn name(text: &str) -> Result<String, Problem> {
    let name: String = text.trim().to_owned();
    if name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Problem::bad("a name has 128 characters at most, and no control characters"));
    }
    Ok(name)
}

/// `GET /devices`.
pub(super) async fn list(
    State(web): State<Web>,
    Ask(query): Ask<DeviceQuery>,
) -> Result<Json<DevicePage>, Problem> {
    page(&web, query).await.map(Json)
}

/// `GET /devices/{source}`.
pub(super) async fn one(
    State(web): State<Web>,
    Path(text): Path<String>,
) -> Result<Json<DeviceRow>, Problem> {
    let source = super::source(&text)?;
    let found = web.read(move |reader| reader.device(&source)).await?;
    found.map(|state| Json(state.into())).ok_or_else(|| Problem::not_found("device of this source"))
}

/// `POST /devices/{source}/rename`.
pub(super) async fn rename(
    State(web): State<Web>,
    Path(text): Path<String>,
    Told(rename): Told<Rename>,
) -> Result<Json<Done>, Problem> {
    renamed(&web, super::source(&text)?, &rename.name).await.map(Json)
}

/// Gives a device another name to show.
///
/// # Errors
/// When the name cannot be one, there is no such device, or the bridge is stopping.
pub async fn renamed(web: &Web, source: Source, text: &str) -> Result<Done, Problem> {
    change(web, DeviceChange::Rename(source, name(text)?)).await
}

/// `POST /devices/{source}/clear`.
pub(super) async fn clear(
    State(web): State<Web>,
    Path(text): Path<String>,
    Told(clear): Told<Clear>,
) -> Result<Json<Done>, Problem> {
    let event = clear.event.as_deref().map(EventName::new);
    change(&web, DeviceChange::Clear(super::source(&text)?, event)).await.map(Json)
}

/// The body says nothing; it is read because a socket that is closed with something unread resets its peer.
pub(super) async fn remove(
    State(web): State<Web>,
    Path(text): Path<String>,
    _body: axum::body::Bytes,
) -> Result<Json<Done>, Problem> {
    change(&web, DeviceChange::Remove(super::source(&text)?)).await.map(Json)
}
