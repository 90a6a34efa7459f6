//! Findings, health and sinks.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::findings::Finding;
use crate::model::status::{BridgeHealth, SinkStatus};
use crate::web::{ListenerInfo, Web};

/// Response to a change that was made.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "done")]
pub struct Done {
    /// Always true: a change that was not made is answered with a problem document.
    pub ok: bool,
}

/// The response to a change that was made.
pub(super) const DONE: Done = Done { ok: true };

/// All findings.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "finding_list")]
pub struct FindingList {
    /// Findings, worst first, then latest first.
    pub findings: Vec<Finding>,
}

/// All sinks.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "sink_list")]
pub struct SinkList {
    /// The sinks that are on.
    pub sinks: Vec<SinkStatus>,
}

/// Health of the bridge.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "health_report")]
pub struct HealthReport {
    /// Health as it is published.
    pub health: BridgeHealth,
    /// Listeners and their connections.
    pub listeners: Vec<ListenerInfo>,
    /// True while commits reach the disk.
    pub durable: bool,
    /// Free bytes on the file system of the storage folder; null if unknown.
    pub disk_free_bytes: Option<u64>,
}

/// Health of the bridge.
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
