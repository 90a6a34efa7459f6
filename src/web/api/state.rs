//! How things stand: findings, health, sinks.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::findings::Finding;
use crate::model::status::{BridgeHealth, SinkStatus};
use crate::web::{ListenerInfo, Web};

/// It was done.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "done")]
pub struct Done {
    /// Always true: what is not done is a problem.
    pub ok: bool,
}

/// It was done.
pub(super) const DONE: Done = Done { ok: true };

/// All findings.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "finding_list")]
pub struct FindingList {
    /// Worst first, then latest first.
    pub findings: Vec<Finding>,
}

/// All sinks.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "sink_list")]
pub struct SinkList {
    /// Those that are on.
    pub sinks: Vec<SinkStatus>,
}

/// How the bridge is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "health_report")]
pub struct HealthReport {
    /// As it is published.
    pub health: BridgeHealth,
    /// The listeners and what came to them.
    pub listeners: Vec<ListenerInfo>,
    /// Commits reach the disk.
    pub durable: bool,
    /// Bytes free where the storage folder is; null where that cannot be told.
    pub disk_free_bytes: Option<u64>,
}

/// How the bridge is.
#[must_use]
pub fn report(web: &Web) -> HealthReport {
    HealthReport {
        health: web.bridge.health(),
        listeners: web.bridge.listeners(),
        durable: web.outbox.durable(),
        disk_free_bytes: web.bridge.disk_free(),
    }
}

/// `GET /findings`.
pub(super) async fn findings(State(web): State<Web>) -> Json<FindingList> {
    Json(FindingList { findings: web.findings.list() })
}

/// `GET /health`.
pub(super) async fn health(State(web): State<Web>) -> Json<HealthReport> {
    Json(report(&web))
}

/// `GET /sinks`.
pub(super) async fn sinks(State(web): State<Web>) -> Json<SinkList> {
    Json(SinkList { sinks: web.bridge.sinks() })
}
