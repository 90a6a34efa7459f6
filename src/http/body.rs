//! Reading a body under its bounds: bytes, memory and time.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::kept::Kept;
use super::memory::{BodyMemory, Reservation};
use crate::config::Limits;
use crate::vendor::{self, End};

/// A body may be so many times the bound before reading stops.
const READ_ON: u64 = 4;
/// What a body in progress gets after the stop signal.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    bytes: u64,
    seconds: u64,
    memory: u64,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self { bytes: limits.body_bytes.0, seconds: limits.body_seconds, memory: limits.body_memory_bytes.0 }
    }
}

/// A body read, with the memory it holds.
#[derive(Debug)]
pub(super) struct Read {
    /// What came.
    pub(super) body: vendor::Body,
    /// The peer may still be sending: closing now would reset the connection and take the answer with it.
    pub(super) unread: bool,
    /// Why it ended early, where it did.
    pub(super) why: Option<String>,
    _memory: Option<Reservation>,
}

/// How the reading loop ended.
enum Ended {
    All,
    Stopped,
    Broke(String),
}

/// Reads a body. Its memory is reserved first (and waited for), its clock starts then.
pub(super) async fn read(
    body: Body,
    headers: &HeaderMap,
    peer: IpAddr,
    bounds: Bounds,
    memory: &BodyMemory,
    shutdown: &CancellationToken,
) -> Read {
    let length = announced(&body, headers);
    let reserved = length.unwrap_or(bounds.bytes).min(bounds.bytes);
    let content_type =
        headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let bound = usize::try_from(bounds.bytes).unwrap_or(usize::MAX);
    let stopping = stopped(shutdown);
    tokio::pin!(stopping);
    let mut held = None;
    if reserved > 0 {
        held = tokio::select! {
            granted = memory.reserve(peer, reserved, bounds.memory) => granted,
            () = &mut stopping => None,
        };
    }
    // Not before: an announced length takes memory.
    let mut kept = Kept::new(bound, length, content_type.as_deref());
    let ended = tokio::select! {
        biased;
        ended = fill(body, &mut kept, bounds.bytes.saturating_mul(READ_ON)) => ended,
        () = sleep(Duration::from_secs(bounds.seconds)) => {
            Ended::Broke(format!("it was not complete after {} s", bounds.seconds))
        }
        () = &mut stopping => Ended::Broke("the bridge is stopping".into()),
    };
    finish(kept, ended, content_type, held)
}

/// The length the request announces. hyper has checked it; a body without one has an end of its own.
fn announced(body: &Body, headers: &HeaderMap) -> Option<u64> {
    let header = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    body.size_hint().exact().or(header)
}

/// Takes frames until the end, an error, or too much.
async fn fill(mut body: Body, kept: &mut Kept, most: u64) -> Ended {
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    kept.push(data);
                }
            }
            Err(error) => return Ended::Broke(format!("the connection broke: {}", innermost(&error))),
        }
        if kept.came() > most {
            return Ended::Stopped;
        }
    }
    Ended::All
}

/// Puts together what came.
fn finish(kept: Kept, ended: Ended, content_type: Option<String>, held: Option<Reservation>) -> Read {
    let (bytes, skipped) = kept.finish();
    let unread = !matches!(ended, Ended::All);
    let (end, why) = match ended {
        Ended::Broke(why) if skipped == 0 => (End::Truncated, Some(why)),
        Ended::All if skipped == 0 => (End::Complete, None),
        Ended::All | Ended::Stopped | Ended::Broke(_) => {
            (End::TooLarge, Some("it passed limits.body_bytes".into()))
        }
    };
    let body = vendor::Body { bytes, content_type, end, skipped };
    Read { body, unread, why, _memory: held }
}

/// Reads a body that nobody wants, so that the answer is not lost to a reset; says whether it was read to its end.
pub(super) async fn discard(mut body: Body, most: u64, time: Duration) -> bool {
    let drain = async {
        let mut came = 0;
        while let Some(Ok(frame)) = body.frame().await {
            came += frame.data_ref().map_or(0, |data| data.len() as u64);
            if came > most {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(time, drain).await.unwrap_or(false)
}

/// Ends when the grace after the stop signal is over.
async fn stopped(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(STOP_GRACE).await;
}

/// The cause at the bottom: hyper's own words say only that a body could not be read.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
