//! Reasons why a body is not a report. Only these are answered with 4xx; every other body becomes an alarm, possibly
//! with missing data.

/// Maximum characters of the first bytes shown in an error.
const MAX_SHOWN: usize = 64;

/// The body is not a report. Each variant holds the whole message: what is wrong, and the first bytes, escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is empty or blank. The answer is 200, because a device's test may send this.
    #[error("the body is empty: if this was a test, the address is right")]
    Empty,
    /// Neither complete JSON nor the start of a JPEG is in it (400).
    #[error("{0}")]
    NotUnderstood(String),
    /// The body exceeded the size limit before complete JSON or the start of a JPEG was seen (413).
    #[error("{0}")]
    TooLarge(String),
    /// The body ended early, before complete JSON or the start of a JPEG was seen (408).
    #[error("{0}")]
    Truncated(String),
}

impl DecodeError {
    /// Error for complete bytes that are not a report, with the reason.
    pub(crate) fn not_understood(bytes: &[u8], reason: &str) -> Self {
        Self::NotUnderstood(format!("{reason} ({} bytes, beginning with \"{}\")", bytes.len(), head(bytes)))
    }

    /// Error for a body over the size limit, with its first bytes.
    pub(crate) fn too_large(bytes: &[u8]) -> Self {
        Self::TooLarge(format!(
            "the body is larger than limits.body_bytes, and it became no alarm: its beginning holds no complete JSON and no JPEG (it begins with \"{}\")",
            head(bytes)
        ))
    }

    /// The error of a body that ended early, with its first bytes.
    pub(crate) fn truncated(bytes: &[u8]) -> Self {
        Self::Truncated(format!(
            "the body ended after {} bytes with no complete JSON and no JPEG in it (it begins with \"{}\")",
            bytes.len(),
            head(bytes)
        ))
    }
}

/// The first bytes, printable.
pub(crate) fn head(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(MAX_SHOWN);
    for byte in bytes {
        let escaped = byte.escape_ascii().to_string();
        if MAX_SHOWN < text.len() + escaped.len() {
            break;
        }
        text.push_str(&escaped);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bytes_or_a_line_of_text_are_shown() {
        assert_eq!(head(&[0; 1_000]), "\\x00".repeat(16));
        assert_eq!(head(&[b'a'; 1_000]), "a".repeat(64));
        assert_eq!(head(b"short"), "short");
    }

    #[test]
    fn a_message_names_the_cause_once_and_leaves_the_remedy_to_the_answer() {
        for error in [
            DecodeError::too_large(b"x"),
            DecodeError::truncated(b"x"),
            DecodeError::not_understood(b"x", "y"),
        ] {
            let text = error.to_string();
            assert!(!text.contains("raise") && !text.contains("check") && !text.contains("send"), "{text}");
            assert!(text.matches("limits.body_bytes").count() < 2, "{text}");
        }
    }
}
