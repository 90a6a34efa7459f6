//! Requests from clients of a broker to the bridge.

use bytes::Bytes;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

/// Maximum number of requests that wait for their answer.
pub const MAX_WAITING: usize = 64;

/// Request from a client.
#[derive(Debug)]
pub struct Request {
    /// Topic it was published at.
    pub topic: String,
    /// Requested action.
    pub verb: String,
    /// Payload.
    pub body: Bytes,
    /// Receiver of the answer; `None` if the client expects none.
    pub answer: Option<oneshot::Sender<Bytes>>,
}

/// Channel for requests; cheap to clone.
pub type RequestSender = mpsc::Sender<Request>;

/// Answer while too many requests wait, or the bridge stops.
#[must_use]
pub fn busy() -> Bytes {
    Bytes::from_static(
        br#"{"ok":false,"status":503,"detail":"too many requests wait, or the bridge is stopping","remedy":"ask again in a second"}"#,
    )
}

/// Answer to a request whose response topic or reply subject is refused. `below`: topics that can be used.
#[must_use]
pub fn refused_reply(wanted: &str, below: &str) -> Bytes {
    let refusal = json!({
        "ok": false, "status": 400, "detail": format!("{wanted:?} cannot be a response topic"),
        "remedy": format!("use a topic of your own without wildcards, or one below {below}"),
    });
    refusal.to_string().into()
}

/// Answer that replaces one that is larger than the broker accepts.
#[must_use]
pub fn too_large() -> Bytes {
    Bytes::from_static(
        br#"{"ok":false,"status":413,"detail":"the answer is larger than the broker takes","remedy":"ask with a smaller limit, or raise the broker's packet limit"}"#,
    )
}
