//! Devices: listing, state, and changes.

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DevicePath;
use super::state::{DONE, Done};
use crate::model::status::MuteStatus;
use crate::model::time::clock::utc;
use crate::model::{DeviceKind, EventName, Source};
use crate::outbox::DeviceChange;
use crate::outbox::history::DeviceState;
use crate::web::{ApiQuery, JsonBody, Problem, Web};

/// Maximum hold and maximum mute in seconds: a year.
pub const MAX_SECONDS: u64 = 31_536_000;

/// Query of a page of devices.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceQuery {
    /// The page after one whose `next` was this.
    pub after: Option<String>,
    /// At most so many, 1 to 500; 50 without it.
    pub limit: Option<usize>,
}

/// A page of devices.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "device_page")]
pub struct DevicePage {
    /// Devices, in the order of their sources.
    pub devices: Vec<DeviceRow>,
    /// `after` of the next page; null at the end.
    pub next: Option<String>,
}

/// A device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "device_row")]
pub struct DeviceRow {
    /// Topic level of the source.
    pub source: String,
    /// Name to show.
    pub name: String,
    /// Name given on the page or by `alarmbus devices rename`.
    pub renamed: Option<String>,
    /// Name the device reports of itself.
    pub reported_name: Option<String>,
    /// MAC address.
    pub mac: Option<String>,
    /// IP address it reports, otherwise the peer's.
    pub ip: Option<String>,
    /// Name of the vendor that decoded it.
    pub vendor: String,
    /// Camera, recorder or channel.
    pub kind: DeviceKind,
    /// Number of the channel.
    pub channel: Option<u32>,
    /// Source of the recorder, for a channel.
    pub parent: Option<String>,
    /// Time of receipt of its first alarm.
    #[schemars(extend("format" = "date-time"))]
    pub first_heard: String,
    /// Time of receipt of its latest alarm or sign of life.
    #[schemars(extend("format" = "date-time"))]
    pub last_heard: String,
    /// Number of its alarms so far.
    pub alarms: u64,
    /// Sequence number of its latest alarm.
    pub seq: u64,
    /// Device time minus receipt time at its latest alarm, in milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// True if it is available; null while nothing checks it.
    pub available: Option<bool>,
    /// Reason of the availability.
    pub available_reason: Option<String>,
    /// Deleted in Home Assistant: not announced until its next alarm.
    pub hidden: bool,
    /// The area given on the page or by the API; one in the configuration wins.
    pub area: Option<String>,
    /// The hold given on the page or by the API, in seconds; one in the configuration wins.
    pub hold_seconds: Option<u64>,
    /// Muted kinds.
    pub mutes: Vec<MuteStatus>,
    /// Kinds it has sent.
    pub kinds: Vec<KindRow>,
}

/// A kind that a device has sent.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "kind_row")]
pub struct KindRow {
    /// The kind.
    pub event: String,
    /// Title of the kind for people.
    pub title: String,
    /// True if it had a picture at least once.
    pub picture: bool,
    /// True while its state is on.
    pub on: bool,
}

/// Another name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rename")]
pub struct Rename {
    /// The name; empty: restore the camera's own.
    pub name: String,
}

/// States to set to OFF.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "clear")]
pub struct Clear {
    /// The kind; without it, every kind.
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
            mutes: device.mutes.at(Timestamp::now()).map(MuteStatus::from).collect(),
            area: device.area,
            hold_seconds: device.hold_seconds,
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
/// When the query is wrong, or the disk cannot be read.
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
    let gone = match change {
        DeviceChange::Clear(..) => "activity in progress at this device",
        DeviceChange::Unmute(..) => "such mute of this device",
        _ => "device of this source",
    };
    if web.outbox.device(change).await? {
        return Ok(DONE);
    }
    Err(Problem::not_found(gone))
}

/// Checks a name: no control characters, not longer than the limit of names.
pub(super) fn name(text: &str) -> Result<String, Problem> {
    let name: String = text.trim().to_owned();
    if name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Problem::bad("a name has 128 characters at most, and no control characters"));
    }
    Ok(name)
}

/// `GET /devices`.
pub(super) async fn list(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<DeviceQuery>,
) -> Result<Json<DevicePage>, Problem> {
    page(&web, query).await.map(Json)
}

/// `GET /devices/{source}`.
pub(super) async fn one(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
) -> Result<Json<DeviceRow>, Problem> {
    let source = super::source(&source)?;
    let found = web.read(move |reader| reader.device(&source)).await?;
    found.map(|state| Json(state.into())).ok_or_else(|| Problem::not_found("device of this source"))
}

/// `POST /devices/{source}/rename`.
pub(super) async fn rename(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
    JsonBody(rename): JsonBody<Rename>,
) -> Result<Json<Done>, Problem> {
    renamed(&web, super::source(&source)?, &rename.name).await.map(Json)
}

/// Gives a device another name to show.
///
/// # Errors
/// When the name is not valid, there is no such device, or the bridge is stopping.
pub async fn renamed(web: &Web, source: Source, text: &str) -> Result<Done, Problem> {
    change(web, DeviceChange::Rename(source, name(text)?)).await
}

/// `POST /devices/{source}/clear`.
pub(super) async fn clear(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
    JsonBody(clear): JsonBody<Clear>,
) -> Result<Json<Done>, Problem> {
    let event = clear.event.as_deref().map(EventName::new);
    change(&web, DeviceChange::Clear(super::source(&source)?, event)).await.map(Json)
}

/// `POST /devices/{source}/remove`. The body is ignored, but read: closing a socket with unread bytes resets the
/// peer's connection.
pub(super) async fn remove(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
    _body: axum::body::Bytes,
) -> Result<Json<Done>, Problem> {
    change(&web, DeviceChange::Remove(super::source(&source)?)).await.map(Json)
}
