//! What to type into a camera, and how far the first alarm has come.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::web::{Problem, Reach, Secrets, Tick, Web, WebhookInfo, chain};

/// What the Setup page shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "setup")]
pub struct Setup {
    /// How cameras and subscribers reach this host.
    pub reach: Reach,
    /// The webhooks; their secret part is `***` without a login (see `POST /webhooks/reveal`).
    pub webhooks: Vec<WebhookInfo>,
    /// The chain of ticks, in order.
    pub chain: Vec<Tick>,
}

/// What the Setup page shows.
///
/// # Errors
/// When the disk cannot be read.
pub async fn all(web: &Web, secrets: Secrets) -> Result<Setup, Problem> {
    let chain = chain::chain(web).await?;
    Ok(Setup { reach: web.bridge.reach(), webhooks: secrets.of(web.bridge.webhooks()), chain })
}

/// `GET /setup`.
pub(super) async fn setup(State(web): State<Web>, secrets: Secrets) -> Result<Json<Setup>, Problem> {
    all(&web, secrets).await.map(Json)
}
