//! Why a body is no report. Only these are answered with 4xx; everything else is an alarm, degraded or not.

/// How many of the first bytes an error shows.
const SHOWN: usize = 48;

/// The body is no report. Each variant holds the whole message: what is wrong, and the first bytes, escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing came, or blanks only: the answer is 200, for a test may do that.
    #[error("the body is empty: if this was a test, the address is right")]
    Empty,
    /// Neither complete JSON nor the start of a JPEG is in it (400).
    #[error("{0}")]
    NotUnderstood(String),
    /// It passed the bound before complete JSON or the start of a JPEG was seen (413).
    #[error("{0}")]
    TooLarge(String),
    /// It ended early, before JSON was complete or the start of a JPEG was seen (408).
    #[error("{0}")]
    Truncated(String),
}

impl DecodeError {
    /// Bytes that came whole and are no report, and why.
    pub(super) fn not_understood(bytes: &[u8], reason: &str) -> Self {
        Self::NotUnderstood(format!(
            "{reason} ({} bytes, beginning with \"{}\"): send JSON, or multipart with JSON or a JPEG in it",
            bytes.len(),
            head(bytes)
        ))
    }

    /// The kept bytes of a body that passed the bound.
    pub(super) fn too_large(bytes: &[u8]) -> Self {
        Self::TooLarge(format!(
            "the body passed the bound of {} bytes with no complete JSON and no JPEG in it (it begins with \"{}\"): raise limits.body_bytes if this is a camera",
            bytes.len(),
            head(bytes)
        ))
    }

    /// What came of a body that ended early.
    pub(super) fn truncated(bytes: &[u8]) -> Self {
        Self::Truncated(format!(
            "the body ended after {} bytes with no complete JSON and no JPEG in it (it begins with \"{}\"): check the network between camera and bridge",
            bytes.len(),
            head(bytes)
        ))
    }
}

/// The first bytes, printable.
pub(super) fn head(bytes: &[u8]) -> String {
    bytes.get(..SHOWN).unwrap_or(bytes).escape_ascii().to_string()
}
