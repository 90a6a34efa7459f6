//! Form actions of a device's page. Each answers with a redirect to that page.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::model::{EventName, Mute, Source};
use crate::outbox::DeviceChange;
use crate::web::api::devices::MAX_SECONDS;
use crate::web::pages::actions::back;
use crate::web::texts::fill;
use crate::web::{Problem, Web};

/// Maximum length of a name.
const MAX_NAME_LENGTH: usize = 128;

/// Fields of the forms of a device; each form has some of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web::pages) struct DeviceForm {
    name: String,
    area: String,
    hold: String,
    event: String,
    seconds: String,
}

impl DeviceForm {
    /// Kind in the form; `None`: every kind.
    fn event(&self) -> Option<EventName> {
        Some(self.event.as_str()).filter(|event| !event.is_empty()).map(EventName::new)
    }
}

/// Renames a device.
pub(in crate::web::pages) async fn rename(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<DeviceForm>,
) -> Result<Redirect, Problem> {
    change(&web, &source, |source| DeviceChange::Rename(source, plain(&form.name)), "renamed").await
}

/// Sets the suggested area.
pub(in crate::web::pages) async fn area(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<DeviceForm>,
) -> Result<Redirect, Problem> {
    change(&web, &source, |source| DeviceChange::Area(source, plain(&form.area)), "saved").await
}

/// Sets the hold.
pub(in crate::web::pages) async fn hold(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<DeviceForm>,
) -> Result<Redirect, Problem> {
    let hold = seconds(&form.hold)?;
    change(&web, &source, |source| DeviceChange::Hold(source, hold), "saved").await
}

/// Mutes a kind, or every kind.
pub(in crate::web::pages) async fn mute(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<DeviceForm>,
) -> Result<Redirect, Problem> {
    let span = seconds(&form.seconds)?.and_then(|span| i64::try_from(span).ok());
    let until = span.and_then(|span| Timestamp::now().checked_add(SignedDuration::from_secs(span)).ok());
    let mute = Mute { event: form.event(), until };
    change(&web, &source, |source| DeviceChange::Mute(source, mute), "muted").await
}

/// Lifts the mute of a kind, or of every kind.
pub(in crate::web::pages) async fn unmute(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<DeviceForm>,
) -> Result<Redirect, Problem> {
    let event = form.event();
    change(&web, &source, |source| DeviceChange::Unmute(source, event), "unmuted").await
}

/// Sets states to OFF: one kind, or all.
pub(in crate::web::pages) async fn clear(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<DeviceForm>,
) -> Result<Redirect, Problem> {
    let event = form.event();
    change(&web, &source, |source| DeviceChange::Clear(source, event), "cleared").await
}

/// Deletes a device.
pub(in crate::web::pages) async fn remove(
    State(web): State<Web>,
    Path(source): Path<String>,
) -> Result<Redirect, Problem> {
    let source = known(&source)?;
    let removed = web.outbox.device(DeviceChange::Remove(source)).await?;
    Ok(back("/devices", if removed { "removed" } else { "gone" }))
}

async fn change(
    web: &Web,
    source: &str,
    change: impl FnOnce(Source) -> DeviceChange,
    done: &str,
) -> Result<Redirect, Problem> {
    let source = known(source)?;
    let path = format!("/devices/{source}");
    let changed = web.outbox.device(change(source)).await?;
    Ok(back(&path, if changed { done } else { "gone" }))
}

fn known(source: &str) -> Result<Source, Problem> {
    Source::from_known(source).ok_or_else(|| Problem::not_found("device of this name"))
}

/// Text of a form without control characters, cut to the limit of names.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|sign| !sign.is_control()).take(MAX_NAME_LENGTH).collect()
}

/// Parses a number of seconds; an empty field is `None`.
fn seconds(text: &str) -> Result<Option<u64>, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
    let wrong = || {
        let detail = fill("{} is not a number of seconds", format_args!("{text:?}"));
        Problem::new(
            axum::http::StatusCode::BAD_REQUEST,
            detail,
            fill("write a whole number from 1 to {}", MAX_SECONDS),
        )
    };
    number.map(Some).ok_or_else(wrong)
}
