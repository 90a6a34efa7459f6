//! The latest lines of the log, and the settings in force.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::SettingList;
use crate::web::{ApiQuery, LogLine, Problem, Web};

/// Levels, the gravest first.
pub(crate) const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// Lines on the page, and in an answer without another limit.
pub(crate) const LIMIT: usize = 300;

/// Lines of the log.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "log_lines")]
pub struct LogLines {
    /// The lines, newest first.
    pub lines: Vec<LogLine>,
}

/// Selection of lines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// Of this level or a graver one; `info` without it.
    level: Option<String>,
    /// With this text.
    text: Option<String>,
    /// At most so many, 1 to 2,000; 300 without it.
    limit: Option<usize>,
}

/// `GET /log`.
pub(super) async fn lines(
    State(web): State<Web>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Json<LogLines>, Problem> {
    let level = query.level.as_deref().unwrap_or("info");
    if !LEVELS.contains(&level) {
        return Err(Problem::bad(format!("`level` is one of {}, and not {level:?}", LEVELS.join(", "))));
    }
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=2_000).contains(&limit) {
        return Err(Problem::bad("`limit` is 1 to 2000"));
    }
    Ok(Json(LogLines { lines: web.bridge.log(level, query.text.as_deref().unwrap_or_default(), limit) }))
}

/// `GET /settings`.
pub(super) async fn settings(State(web): State<Web>) -> Json<SettingList> {
    Json(SettingList { settings: web.bridge.settings() })
}
