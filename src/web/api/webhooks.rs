//! Webhooks: listing, adding, rotating the secret.

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::web::{JsonBody, NewWebhook, Problem, SecretDisplay, Web, WebhookInfo};

/// Default validity of an old path after a rotation: time to change every camera.
const OVERLAP_SECONDS: u64 = 86_400;

/// All webhooks.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "webhook_list")]
pub struct WebhookList {
    /// Webhooks that are answered now, retired paths included.
    pub webhooks: Vec<WebhookInfo>,
}

/// The webhook in a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WebhookPath {
    /// The webhook's name.
    id: String,
}

/// Rotation of a secret.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "webhook_rotate")]
pub struct Rotate {
    /// Validity of the old path in seconds; a day by default.
    pub overlap_seconds: Option<u64>,
}

/// `GET /webhooks`.
pub(super) async fn list(State(web): State<Web>, secrets: SecretDisplay) -> Json<WebhookList> {
    Json(WebhookList { webhooks: secrets.of(web.bridge.webhooks()) })
}

/// `POST /webhooks/reveal`. Another site cannot send this request, so it is answered without a login too. The body is
/// ignored, but read: closing a socket with unread bytes resets the peer's connection.
pub(super) async fn reveal(State(web): State<Web>, _body: axum::body::Bytes) -> Json<WebhookList> {
    Json(WebhookList { webhooks: web.bridge.webhooks() })
}

/// `POST /webhooks`.
pub(super) async fn add(
    State(web): State<Web>,
    JsonBody(add): JsonBody<NewWebhook>,
) -> Result<Json<WebhookInfo>, Problem> {
    let plain = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || matches!(sign, '_' | '-');
    if add.id.is_empty() || 64 < add.id.len() || !add.id.chars().all(plain) {
        return Err(Problem::bad("the name of a webhook is 1 to 64 of a-z, 0-9, _ and -"));
    }
    blocking(web, move |web| web.bridge.add_webhook(&add)).await
}

/// `POST /webhooks/{id}/rotate`.
pub(super) async fn rotate(
    State(web): State<Web>,
    Path(WebhookPath { id }): Path<WebhookPath>,
    JsonBody(rotate): JsonBody<Rotate>,
) -> Result<Json<WebhookInfo>, Problem> {
    let overlap = rotate.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    blocking(web, move |web| web.bridge.rotate_webhook(&id, overlap)).await
}

/// Runs a change that writes files on a blocking thread.
async fn blocking(
    web: Web,
    change: impl FnOnce(&Web) -> Result<WebhookInfo, String> + Send + 'static,
) -> Result<Json<WebhookInfo>, Problem> {
    let done = tokio::task::spawn_blocking(move || change(&web)).await;
    let done = done.map_err(|error| Problem::internal(&error.to_string()))?;
    done.map(Json).map_err(Problem::conflict)
}
