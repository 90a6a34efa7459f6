//! Backlog of a sink: rewind, and recovery from a database that was set aside.

use std::path::Path as FilePath;

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outbox::{self, RecoverError, RewindError};
use crate::web::{JsonBody, Problem, Web};

/// The sink in a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::web::api) struct SinkPath {
    /// Its name: mqtt, nats, notify, stdout.
    sink: String,
}

/// Start of a rewind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rewind")]
pub struct Rewind {
    /// Everything received at or after this moment is sent again (RFC 3339).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
}

/// Result of a rewind.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "rewound")]
pub struct Rewound {
    /// Number of log entries that are sent again.
    pub entries: u64,
}

/// A database that was set aside.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "recover")]
pub struct Recover {
    /// The file, `outbox.db.corrupt-…`, on this machine.
    pub file: String,
}

/// Result of a recovery.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "recovered")]
pub struct Recovered {
    /// Alarms and ends that a sink had not acknowledged.
    pub undelivered: u64,
    /// Of them, committed again.
    pub committed: u64,
    /// Of them, already in the outbox.
    pub known: u64,
    /// Numbers of its log that could not be read.
    pub unreadable: u64,
}

/// `POST /sinks/{sink}/rewind`.
pub(in crate::web::api) async fn rewind(
    State(web): State<Web>,
    Path(SinkPath { sink }): Path<SinkPath>,
    JsonBody(told): JsonBody<Rewind>,
) -> Result<Json<Rewound>, Problem> {
    match web.outbox.rewind(&sink, told.since).await {
        Ok(Some(entries)) => Ok(Json(Rewound { entries })),
        Ok(None) => Err(Problem::not_found("sink of this name")),
        Err(RewindError::Closed(closed)) => Err(closed.into()),
        Err(error) => Err(Problem::bad(error.to_string())),
    }
}

/// `POST /outbox/recover`.
pub(in crate::web::api) async fn recover(
    State(web): State<Web>,
    JsonBody(told): JsonBody<Recover>,
) -> Result<Json<Recovered>, Problem> {
    let file = FilePath::new(&told.file);
    let named = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !named.starts_with("outbox.db") {
        return Err(Problem::bad("name a file that alarmbus set aside: outbox.db.corrupt-…"));
    }
    match outbox::recover(file, &web.outbox).await {
        Ok(outbox::RecoveryResult { undelivered, committed, known, unreadable }) => {
            Ok(Json(Recovered { undelivered, committed, known, unreadable }))
        }
        Err(RecoverError::Closed(closed)) => Err(closed.into()),
        Err(error) => Err(Problem::bad(error.to_string())),
    }
}
