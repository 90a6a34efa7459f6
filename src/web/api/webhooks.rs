//! Webhooks: listing, adding, giving a new secret.

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::web::{Problem, Secrets, Told, Web, WebhookInfo};

/// How long an old path stays valid without being asked: time to walk to every camera.
const OVERLAP_SECONDS: u64 = 86_400;

/// All webhooks.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "webhook_list")]
pub struct WebhookList {
    /// Those that are answered now, retired paths included.
    pub webhooks: Vec<WebhookInfo>,
}

/// A webhook to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "webhook_add")]
pub struct Add {
    /// Its name, `[a-z0-9_-]{1,64}`.
    pub id: String,
}

/// A new secret.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "webhook_rotate")]
pub struct Rotate {
    /// So long the old path stays valid, in seconds; a day without it.
    pub overlap_seconds: Option<u64>,
}

/// `GET /webhooks`.
pub(super) async fn list(State(web): State<Web>, secrets: Secrets) -> Json<WebhookList> {
    Json(WebhookList { webhooks: secrets.of(web.bridge.webhooks()) })
}

/// `POST /webhooks/reveal`: another site cannot bring it about, so it is answered without a login too. The body says
/// nothing; it is read because a socket that is closed with something unread resets its peer.
pub(super) async fn reveal(State(web): State<Web>, _body: axum::body::Bytes) -> Json<WebhookList> {
    Json(WebhookList { webhooks: web.bridge.webhooks() })
}

/// `POST /webhooks`.
pub(super) async fn add(State(web): State<Web>, Told(add): Told<Add>) -> Result<Json<WebhookInfo>, Problem> {
    let plain = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || matches!(sign, '_' | '-');
    if add.id.is_empty() || 64 < add.id.len() || !add.id.chars().all(plain) {
        return Err(Problem::bad("the name of a webhook is 1 to 64 of a-z, 0-9, _ and -"));
    }
    blocking(web, move |web| web.bridge.add_webhook(&add.id)).await
}

/// `POST /webhooks/{id}/rotate`.
pub(super) async fn rotate(
    State(web): State<Web>,
    Path(id): Path<String>,
    Told(rotate): Told<Rotate>,
) -> Result<Json<WebhookInfo>, Problem> {
    let overlap = rotate.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    blocking(web, move |web| web.bridge.rotate_webhook(&id, overlap)).await
}

/// Files are written for it.
async fn blocking(
    web: Web,
    change: impl FnOnce(&Web) -> Result<WebhookInfo, String> + Send + 'static,
) -> Result<Json<WebhookInfo>, Problem> {
    let done = tokio::task::spawn_blocking(move || change(&web)).await;
    let done = done.map_err(|error| Problem::internal(&error.to_string()))?;
    done.map(Json).map_err(Problem::conflict)
}
