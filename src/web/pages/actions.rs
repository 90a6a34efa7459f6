//! What the forms of the pages do. Each answers with a redirect to the page it came from, so that a reload does
//! nothing twice; that the request comes from a page of our own was checked before it got here.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;
use uuid::Uuid;

use crate::model::{EventName, Source};
use crate::outbox::{DeviceChange, ParkedVerb};
use crate::web::{Problem, Web};

/// The longest name.
const NAME: usize = 128;

/// The form of a new name.
#[derive(Debug, Deserialize)]
pub(super) struct NewName {
    #[serde(default)]
    name: String,
}

/// The form that ends an activity.
#[derive(Debug, Deserialize)]
pub(super) struct Ended {
    event: Option<String>,
}

/// Gives a device another name.
pub(super) async fn rename(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<NewName>,
) -> Result<Redirect, Problem> {
    let name: String = form.name.trim().chars().filter(|c| !c.is_control()).take(NAME).collect();
    change(&web, &source, |source| DeviceChange::Rename(source, name), "renamed").await
}

/// Ends what goes on.
pub(super) async fn clear(
    State(web): State<Web>,
    Path(source): Path<String>,
    Form(form): Form<Ended>,
) -> Result<Redirect, Problem> {
    let event = form.event.as_deref().map(EventName::new);
    change(&web, &source, |source| DeviceChange::Clear(source, event), "cleared").await
}

/// Forgets a device.
pub(super) async fn remove(State(web): State<Web>, Path(source): Path<String>) -> Result<Redirect, Problem> {
    change(&web, &source, DeviceChange::Remove, "removed").await
}

async fn change(
    web: &Web,
    source: &str,
    change: impl FnOnce(Source) -> DeviceChange,
    done: &str,
) -> Result<Redirect, Problem> {
    let source = Source::from_known(source).ok_or_else(|| Problem::not_found("device of this name"))?;
    let changed = web.outbox.device(change(source)).await?;
    Ok(back("/devices", if changed { done } else { "gone" }))
}

/// Sends an alarm again.
pub(super) async fn replay(State(web): State<Web>, Path(id): Path<Uuid>) -> Result<Redirect, Problem> {
    let known = web.outbox.replay(id).await?;
    let done = if known { "replayed" } else { "gone" };
    Ok(Redirect::to(&format!("/?alarm={id}&done={done}")))
}

/// Sends all alarms of a request again.
pub(super) async fn replay_request(State(web): State<Web>, Path(no): Path<i64>) -> Result<Redirect, Problem> {
    let kept = web.read(move |reader| reader.request(no)).await?;
    let kept = kept.ok_or_else(|| Problem::not_found("request of this number (any more)"))?;
    let mut known = false;
    for id in kept.summary.alarms {
        known |= web.outbox.replay(id).await?;
    }
    Ok(back(&format!("/requests/{no}"), if known { "replayed" } else { "gone" }))
}

/// Tries a parked message again.
pub(super) async fn retry(State(web): State<Web>, Path(no): Path<i64>) -> Result<Redirect, Problem> {
    let known = web.outbox.parked(no, ParkedVerb::Retry).await?;
    Ok(back("/health", if known { "retried" } else { "gone" }))
}

/// Forgets a parked message.
pub(super) async fn drop_parked(State(web): State<Web>, Path(no): Path<i64>) -> Result<Redirect, Problem> {
    let known = web.outbox.parked(no, ParkedVerb::Drop).await?;
    Ok(back("/health", if known { "dropped" } else { "gone" }))
}

/// Back to a page, which then says what was done.
fn back(path: &str, done: &str) -> Redirect {
    Redirect::to(&format!("{path}?done={done}"))
}
