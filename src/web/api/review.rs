//! Marking alarms as reviewed.

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::alarms::{self, AlarmPath};
use super::state::{DONE, Done};
use crate::web::{JsonBody, Problem, Web};

/// The mark.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "review")]
pub struct Review {
    /// True sets the mark, false lifts it.
    pub reviewed: bool,
}

/// `POST /alarms/{id}/review`.
pub(super) async fn review(
    State(web): State<Web>,
    Path(path): Path<AlarmPath>,
    JsonBody(body): JsonBody<Review>,
) -> Result<Json<Done>, Problem> {
    if web.review(alarms::id(&path.id)?, body.reviewed).await? {
        return Ok(Json(DONE));
    }
    Err(Problem::not_found("alarm of this id"))
}
