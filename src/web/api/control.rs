//! Changes to a device besides its name: mutes, area, hold; and the settings in force for it.

use axum::Json;
use axum::extract::{Path, State};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DevicePath;
use super::devices::{MAX_SECONDS, change, name};
use super::state::Done;
use crate::model::{EventName, Mute, Source};
use crate::outbox::DeviceChange;
use crate::web::{JsonBody, Problem, Setting, Web};

/// A mute.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "mute")]
pub struct MuteBody {
    /// Kind to mute; without it, every kind.
    pub event: Option<String>,
    /// Duration in seconds, 1 to 31,536,000; without it, until the mute is lifted.
    pub seconds: Option<u64>,
}

/// Mutes to lift.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "unmute")]
pub struct UnmuteBody {
    /// Kind to unmute; without it, all mutes are lifted.
    pub event: Option<String>,
}

/// Another area.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "area")]
pub struct AreaBody {
    /// The area; empty: restore the configured one.
    pub area: String,
}

/// Another hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "hold")]
pub struct HoldBody {
    /// Seconds, 1 to 31,536,000; null: restore the configured hold.
    pub seconds: Option<u64>,
}

/// The settings in force for a device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "setting_list")]
pub struct SettingList {
    /// The settings, each with its origin.
    pub settings: Vec<Setting>,
}

/// Findings to dismiss.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "dismiss")]
pub struct DismissBody {
    /// Code of the findings.
    pub code: String,
    /// Subject of the finding; without it, all findings of the code.
    pub subject: Option<String>,
}

/// Mutes a device or one kind.
///
/// # Errors
/// When the duration is out of bounds, there is no such device, or the bridge is stopping.
pub async fn muted(web: &Web, source: Source, body: &MuteBody) -> Result<Done, Problem> {
    let seconds = body.seconds.map(within).transpose()?;
    let until =
        seconds.and_then(|seconds| Timestamp::now().checked_add(SignedDuration::from_secs(seconds)).ok());
    let event = body.event.as_deref().map(EventName::new);
    change(web, DeviceChange::Mute(source, Mute { event, until })).await
}

/// Lifts mutes.
///
/// # Errors
/// When there is none, or the bridge is stopping.
pub async fn unmuted(web: &Web, source: Source, body: &UnmuteBody) -> Result<Done, Problem> {
    change(web, DeviceChange::Unmute(source, body.event.as_deref().map(EventName::new))).await
}

/// Checks that a duration is within its bounds.
fn within(seconds: u64) -> Result<i64, Problem> {
    match i64::try_from(seconds) {
        Ok(number) if (1..=MAX_SECONDS).contains(&seconds) => Ok(number),
        _ => {
            Err(Problem::bad(format!("`seconds` is {seconds}: it is a whole number from 1 to {MAX_SECONDS}")))
        }
    }
}

/// `POST /devices/{source}/mute`.
pub(super) async fn mute(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
    JsonBody(body): JsonBody<MuteBody>,
) -> Result<Json<Done>, Problem> {
    muted(&web, super::source(&source)?, &body).await.map(Json)
}

/// `POST /devices/{source}/unmute`.
pub(super) async fn unmute(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
    JsonBody(body): JsonBody<UnmuteBody>,
) -> Result<Json<Done>, Problem> {
    unmuted(&web, super::source(&source)?, &body).await.map(Json)
}

/// `POST /devices/{source}/area`.
pub(super) async fn area(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
    JsonBody(body): JsonBody<AreaBody>,
) -> Result<Json<Done>, Problem> {
    change(&web, DeviceChange::Area(super::source(&source)?, name(&body.area)?)).await.map(Json)
}

/// `POST /devices/{source}/hold`.
pub(super) async fn hold(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
    JsonBody(body): JsonBody<HoldBody>,
) -> Result<Json<Done>, Problem> {
    if let Some(seconds) = body.seconds {
        within(seconds)?;
    }
    change(&web, DeviceChange::Hold(super::source(&source)?, body.seconds)).await.map(Json)
}

/// `GET /devices/{source}/settings`.
pub(super) async fn settings(
    State(web): State<Web>,
    Path(DevicePath { source }): Path<DevicePath>,
) -> Result<Json<SettingList>, Problem> {
    let source = super::source(&source)?;
    let found = web.read(move |reader| reader.device(&source)).await?;
    let state = found.ok_or_else(|| Problem::not_found("device of this source"))?;
    Ok(Json(SettingList { settings: web.bridge.device_settings(&state.device) }))
}

/// `POST /findings/dismiss`.
pub(super) async fn dismiss(
    State(web): State<Web>,
    JsonBody(body): JsonBody<DismissBody>,
) -> Result<Json<Done>, Problem> {
    match web.findings.dismiss(&body.code, body.subject.as_deref()) {
        0 => Err(Problem::not_found("such finding that is not dismissed")),
        _ => Ok(Json(super::state::DONE)),
    }
}
