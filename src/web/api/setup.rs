//! Data to type into a camera, and the delivery check.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::web::overall::{Checked, check};
use crate::web::{Overall, Problem, Reach, SecretDisplay, Tick, Web, WebhookInfo};

/// Content of the Setup page.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "setup")]
pub struct Setup {
    /// Addresses for cameras and subscribers.
    pub reach: Reach,
    /// Webhooks; their secret part is `***` without a login (see `POST /webhooks/reveal`).
    pub webhooks: Vec<WebhookInfo>,
    /// Steps of the delivery check, in order.
    pub chain: Vec<Tick>,
    /// State of the bridge as a whole, as in the header of every page and the exit code of `alarmbus doctor`.
    pub overall: Overall,
}

/// Content of the Setup page.
///
/// # Errors
/// When the disk cannot be read.
pub async fn all(web: &Web, secrets: SecretDisplay) -> Result<Setup, Problem> {
    let Checked { chain, overall } = check(web).await?;
    Ok(Setup { reach: web.bridge.reach(), webhooks: secrets.of(web.bridge.webhooks()), chain, overall })
}

/// `GET /setup`.
pub(super) async fn setup(State(web): State<Web>, secrets: SecretDisplay) -> Result<Json<Setup>, Problem> {
    all(&web, secrets).await.map(Json)
}
