//! From bytes to meaning: one module per maker. Pure, so that it can be fuzzed; only here are wire formats known.

use bytes::Bytes;

use crate::config::ingest::Pointers;
use crate::model::{Alarm, Picture};

/// The body of one request, as far as it came.
#[derive(Debug, Clone)]
pub struct Body {
    /// The bytes, at most the body bound.
    pub bytes: Bytes,
    /// The `Content-Type` header, as sent.
    pub content_type: Option<String>,
    /// How reading ended.
    pub end: End,
    /// Bytes that came after the bound and were thrown away.
    pub skipped: u64,
}

/// How reading a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every announced byte came.
    Complete,
    /// The connection ended or the body time ran out before that.
    Truncated,
    /// The bound was passed; what came after it is not in `bytes`.
    TooLarge,
}

/// What a webhook says about the reports that come to it.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `auto`, or the name of a vendor.
    pub vendor: String,
    /// Pointers for vendor `generic`.
    pub pointers: Pointers,
    /// The most alarms one report may make.
    pub alarms_per_report: usize,
}

/// A report understood.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// The alarms in order, `motion` first. Empty for a valid report without events.
    pub alarms: Vec<Alarm>,
    /// The pictures; alarms refer to them by index.
    pub pictures: Vec<Picture>,
    /// What was wrong with the report though it was understood.
    pub problems: Vec<Problem>,
}

/// Something wrong with a report that was understood all the same: becomes a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The finding's code.
    pub code: &'static str,
    /// What was seen, in plain words.
    pub detail: String,
}

/// Why a body makes no alarm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes.
    #[error("the body is empty")]
    Empty,
    /// Neither JSON nor a JPEG.
    #[error("{0}")]
    NotUnderstood(String),
    /// Too large, and nothing of use before the bound.
    #[error("{0}")]
    TooLarge(String),
    /// Ended early, and nothing of use before that.
    #[error("{0}")]
    Truncated(String),
}

/// Placeholder until the decoders land.
///
/// # Errors
/// Always, unless the body is a JSON object.
pub fn decode(body: &Body, hints: &Hints) -> Result<Decoded, DecodeError> {
    let _ = hints;
    match (body.bytes.first(), body.end) {
        (None, End::Complete) => Err(DecodeError::Empty),
        (Some(b'{' | b'-'), _) => Ok(Decoded::default()),
        (_, End::Truncated) => Err(DecodeError::Truncated("the body ended early".into())),
        (_, End::TooLarge) => Err(DecodeError::TooLarge("the body is too large".into())),
        (Some(_), End::Complete) => Err(DecodeError::NotUnderstood("neither JSON nor a JPEG".into())),
    }
}
