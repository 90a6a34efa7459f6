//! Form actions of the pages. Each answers with a redirect to the page it came from, so that a reload does not repeat
//! it. The origin of the request was checked before it got here.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;
use uuid::Uuid;

use crate::outbox::ParkedVerb;
use crate::web::{Problem, Web};

/// Sends an alarm again.
pub(super) async fn replay(State(web): State<Web>, Path(id): Path<Uuid>) -> Result<Redirect, Problem> {
    let known = web.outbox.replay(id).await?;
    let done = if known { "replayed" } else { "gone" };
    Ok(Redirect::to(&format!("/?alarm={id}&done={done}")))
}

/// The form that marks an alarm as reviewed.
#[derive(Debug, Deserialize)]
pub(super) struct Review {
    reviewed: bool,
}

/// Marks the alarms of a report as reviewed, or lifts the mark.
pub(super) async fn review(
    State(web): State<Web>,
    Path(id): Path<Uuid>,
    Form(form): Form<Review>,
) -> Result<Redirect, Problem> {
    let done = match (web.review(id, form.reviewed).await?, form.reviewed) {
        (false, _) => "gone",
        (true, true) => "reviewed",
        (true, false) => "unreviewed",
    };
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

/// Sends a parked message again.
pub(super) async fn retry(State(web): State<Web>, Path(no): Path<i64>) -> Result<Redirect, Problem> {
    let known = web.outbox.parked(no, ParkedVerb::Retry).await?;
    Ok(back("/health", if known { "retried" } else { "gone" }))
}

/// Deletes a parked message.
pub(super) async fn drop_parked(State(web): State<Web>, Path(no): Path<i64>) -> Result<Redirect, Problem> {
    let known = web.outbox.parked(no, ParkedVerb::Drop).await?;
    Ok(back("/health", if known { "dropped" } else { "gone" }))
}

/// The form that dismisses findings.
#[derive(Debug, Deserialize)]
pub(super) struct Dismissed {
    code: String,
    subject: Option<String>,
}

/// Dismisses findings until they are seen again.
pub(super) async fn dismiss(State(web): State<Web>, Form(form): Form<Dismissed>) -> Redirect {
    let dismissed = web.findings.dismiss(&form.code, form.subject.as_deref());
    back("/health", if 0 < dismissed { "dismissed" } else { "gone" })
}

/// Sends a test alarm as a simulated camera does.
pub(super) async fn send_test(State(web): State<Web>) -> Result<Redirect, Problem> {
    match web.bridge.send_test().await {
        Ok(()) => Ok(back("/setup", "tested")),
        Err(why) => {
            let remedy = "look at the Requests page for what came of it, and at Health";
            Err(Problem::new(axum::http::StatusCode::BAD_GATEWAY, why, remedy))
        }
    }
}

/// Redirects to a page, which then shows what was done.
pub(super) fn back(path: &str, done: &str) -> Redirect {
    Redirect::to(&format!("{path}?done={done}"))
}
