//! A checked picture of a report.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::record::SnapshotProblem;
use jpeg::Dimensions;

pub mod jpeg;
pub mod variant;

/// A picture of a report. A `problem` costs the picture, never the alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The JPEG; empty when there is a `problem`.
    pub data: Bytes,
    /// Size in bytes; of the received bytes, when there is a `problem`.
    pub bytes: u64,
    /// SHA-256 in lower-case hex; `None` when there is a `problem`.
    pub sha256: Option<String>,
    /// Its dimensions, where the header could be read.
    pub dimensions: Option<Dimensions>,
    /// Reason why it is not stored.
    pub problem: Option<SnapshotProblem>,
}

impl Picture {
    /// Checks the bytes of a picture part: they must begin as a JPEG and have a readable frame header.
    #[must_use]
    pub fn checked(data: Bytes) -> Self {
        let dimensions = jpeg::dimensions(&data);
        if !jpeg::starts_as_jpeg(&data) || dimensions.is_none() {
            return Self::missing(data.len() as u64, SnapshotProblem::NotAJpeg);
        }
        let sha256 = Some(hex(&Sha256::digest(&data)));
        Self { bytes: data.len() as u64, sha256, dimensions, problem: None, data }
    }

    /// A picture that was received but is not stored.
    #[must_use]
    pub fn missing(bytes: u64, problem: SnapshotProblem) -> Self {
        Self { data: Bytes::new(), bytes, sha256: None, dimensions: None, problem: Some(problem) }
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}
