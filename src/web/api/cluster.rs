//! The cluster as this instance sees it.

use axum::Json;
use axum::extract::State;

use crate::model::cluster::ClusterStatus;
use crate::web::Web;

/// `GET /cluster`. An instance that is alone has no name and no members.
pub(super) async fn status(State(web): State<Web>) -> Json<ClusterStatus> {
    Json(web.bridge.cluster().unwrap_or_default())
}
