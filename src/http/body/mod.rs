//! Reads a request body within limits on bytes, memory and time.

use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::webhook::Webhooks;
use crate::config::Limits;
use crate::decode::carrier::inflate::{self, Unpacked};
use crate::decode::{self, BodyEnd};
use bounded_body::{BoundedBody, FIRST};
use memory::{BodyMemory, Reservation};

mod bounded_body;
pub(super) mod memory;

/// Multiple of the bound at which reading of a larger body stops.
const READ_LIMIT_FACTOR: u64 = 4;
/// Size in bytes from which a body is searched for secrets on a blocking thread.
const LARGE: usize = 256 << 10;
/// Maximum ratio of unpacked to packed length: the limit of deflate.
const MAX_UNPACK_RATIO: u64 = 1_032;
/// Interval between checks of a body's pace while other bodies wait for memory.
const PACE_INTERVAL: Duration = Duration::from_secs(1);
/// Divisor of the pace that a body needs to be complete in time; a slower one may be ended.
const PACE_DIVISOR: u64 = 2;
/// Reason for the loss of a picture, or for the end of a body.
const TOO_SLOW: &str = "it was received too slowly while others waited for memory";
/// Time that a body in progress gets after the stop signal.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Limits of one body.
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

/// A received body, with its memory reservation.
#[derive(Debug)]
pub(super) struct Read {
    /// Received content.
    pub(super) body: decode::Body,
    /// Set if the peer may still be sending: closing now would reset the connection and discard the response.
    pub(super) unread: bool,
    /// Reason for an early end, if there was one.
    pub(super) why: Option<String>,
    _memory: Option<Reservation>,
}

/// Result of the reading loop.
enum Ended {
    All,
    Stopped,
    Broke(String),
}

/// Reads a body. Memory for the announced length is reserved once its first bytes arrived (see [`Filling`]).
pub(super) async fn read(
    body: Body,
    headers: &HeaderMap,
    peer: IpAddr,
    bounds: Bounds,
    memory: &BodyMemory,
    webhooks: &Webhooks,
    shutdown: &CancellationToken,
) -> Read {
    let length = announced(&body, headers);
    let need = length.unwrap_or(bounds.bytes).min(bounds.bytes);
    let content_type = headers
        .get(CONTENT_TYPE)
        .map(|value| webhooks.without_path(&String::from_utf8_lossy(value.as_bytes())));
    let bound = usize::try_from(bounds.bytes).unwrap_or(usize::MAX);
    let stopping = stopped(shutdown);
    tokio::pin!(stopping);
    let mut kept = BoundedBody::new(bound, length, content_type.as_deref());
    let mut filling = Filling::new(peer, need, bounds, memory);
    let ended = tokio::select! {
        biased;
        ended = filling.fill(body, &mut kept) => ended,
        () = &mut stopping => Ended::Broke("the bridge is stopping".into()),
    };
    let Filling { mut held, gave_way, .. } = filling;
    let encoding =
        headers.get(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if inflate::is_packed(kept.bytes_mut(), encoding.as_deref()) {
        let need = (kept.held() as u64).saturating_mul(MAX_UNPACK_RATIO).min(bounds.bytes);
        // A waiting body holds no memory.
        drop(held.take());
        held = memory.reserve(peer, need, bounds.memory).await;
    }
    let plain = plain(kept, encoding, bound, webhooks).await;
    finish(plain, ended, gave_way, content_type, held)
}

/// Length announced by the request. hyper has validated it; a body without one ends by its own framing.
fn announced(body: &Body, headers: &HeaderMap) -> Option<u64> {
    let header = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    body.size_hint().exact().or(header)
}

/// State of reading one body within its limits.
///
/// Memory for the whole body is reserved once more than [`FIRST`] bytes arrived: so a peer that announces much and
/// sends nothing holds nothing, and no two bodies wait for each other's memory. While others wait, a body that is too
/// slow to be complete in time is ended as it is, which costs its picture; if its JSON is still to come behind a
/// picture, the picture is discarded and the reading goes on without a reservation.
struct Filling<'m> {
    peer: IpAddr,
    need: u64,
    bounds: Bounds,
    memory: &'m BodyMemory,
    held: Option<Reservation>,
    /// Time by which it must be complete; waiting for memory is not counted.
    deadline: Instant,
    /// Time of the next check of its pace, and the number of bytes at the last one.
    look: (Instant, u64),
    /// True if it gave its memory back: its pictures are discarded.
    gave_way: bool,
}

impl<'m> Filling<'m> {
    fn new(peer: IpAddr, need: u64, bounds: Bounds, memory: &'m BodyMemory) -> Self {
        let now = Instant::now();
        let deadline = now + Duration::from_secs(bounds.seconds);
        Self {
            peer,
            need,
            bounds,
            memory,
            held: None,
            deadline,
            look: (now + PACE_INTERVAL, 0),
            gave_way: false,
        }
    }

    /// Reads frames until the end, an error, or the limit.
    async fn fill(&mut self, mut body: Body, kept: &mut BoundedBody) -> Ended {
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = sleep_until(self.deadline) => {
                    return Ended::Broke(format!("it was not complete after {} s", self.bounds.seconds));
                }
                () = sleep_until(self.look.0), if self.held.is_some() => {
                    if self.is_in_the_way(kept.came()) {
                        if !kept.give_way() {
                            return Ended::Broke(TOO_SLOW.into());
                        }
                        self.gave_way = true;
                        self.held = None;
                    }
                    continue;
                }
            };
            match frame {
                None => return Ended::All,
                Some(Err(error)) => {
                    return Ended::Broke(format!("the connection broke: {}", innermost(&error)));
                }
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.reserve(kept.came() + data.len() as u64).await;
                        kept.push(data);
                    }
                }
            }
            if kept.came() > self.bounds.bytes.saturating_mul(READ_LIMIT_FACTOR) {
                return Ended::Stopped;
            }
        }
    }

    /// Reserves memory, waiting if necessary, when more bytes arrive than are accepted without a reservation.
    async fn reserve(&mut self, came: u64) {
        if self.held.is_some() || self.gave_way || came <= FIRST as u64 {
            return;
        }
        let begun = Instant::now();
        self.held = self.memory.reserve(self.peer, self.need, self.bounds.memory).await;
        self.deadline += begun.elapsed();
        self.look = (Instant::now() + PACE_INTERVAL, came);
    }

    /// Returns whether other bodies wait for memory and this one is too slow.
    fn is_in_the_way(&mut self, came: u64) -> bool {
        let least = self.need / self.bounds.seconds.max(1) / PACE_DIVISOR * PACE_INTERVAL.as_secs();
        let slow = came.saturating_sub(self.look.1) < least.max(1);
        self.look = (Instant::now() + PACE_INTERVAL, came);
        slow && self.memory.is_wanted()
    }
}

/// A body as received, and its content encoding, with secret paths masked.
#[derive(Default)]
struct Plain {
    kept: BoundedBody,
    unpacked: Unpacked,
}

/// Unpacks the content and masks secret paths in it; a large or packed body on a blocking thread.
async fn plain(mut kept: BoundedBody, encoding: Option<String>, bound: usize, webhooks: &Webhooks) -> Plain {
    let packed = inflate::is_packed(kept.bytes_mut(), encoding.as_deref());
    let webhooks = webhooks.clone();
    let large = kept.held() >= LARGE;
    let work = move || {
        let mut unpacked = inflate::unpack(kept.bytes_mut(), encoding.as_deref(), bound);
        match &mut unpacked.bytes {
            Some(bytes) => webhooks.mask_report(bytes),
            None => webhooks.mask_report(kept.bytes_mut()),
        }
        Plain { kept, unpacked }
    };
    if !packed && !large {
        return work();
    }
    // The task fails only by a panic; then nothing of the body may be shown.
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

/// Assembles the result.
fn finish(
    plain: Plain,
    ended: Ended,
    gave_way: bool,
    content_type: Option<String>,
    held: Option<Reservation>,
) -> Read {
    let (packed, skipped) = plain.kept.finish();
    let unread = !matches!(ended, Ended::All);
    let (end, why) = match ended {
        Ended::Broke(why) if gave_way => (BodyEnd::Truncated, Some(format!("{TOO_SLOW}; then {why}"))),
        Ended::All | Ended::Stopped if gave_way => (BodyEnd::Truncated, Some(TOO_SLOW.into())),
        Ended::Broke(why) if skipped == 0 => (BodyEnd::Truncated, Some(why)),
        Ended::All if skipped == 0 => (BodyEnd::Complete, None),
        Ended::All | Ended::Stopped | Ended::Broke(_) => {
            (BodyEnd::TooLarge, Some("it passed limits.body_bytes".into()))
        }
    };
    let end = plain.unpacked.end(end);
    let Unpacked { bytes, coding, .. } = plain.unpacked;
    let bytes = bytes.map_or(packed, Into::into);
    let body = decode::Body { bytes, content_type, end, skipped, coding };
    Read { body, unread, why, _memory: held }
}

/// Reads and discards a body, so that the response is not lost to a reset; returns whether it was read to its end.
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

/// Waits until the grace period after the stop signal is over.
async fn stopped(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(STOP_GRACE).await;
}

/// Innermost cause: hyper's own text says only that a body could not be read.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
