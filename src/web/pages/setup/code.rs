//! QR code of a webhook's URL, drawn as an SVG path, to open it on a phone in the camera's network.

use qrcode::types::Color;
use qrcode::{EcLevel, QrCode};

/// Number of light modules around a code, which readers need.
const MARGIN: usize = 4;

/// A QR code: a square of modules.
#[derive(Debug)]
pub(super) struct UrlCode {
    /// Number of modules of a side, margin included.
    pub(super) side: usize,
    /// The dark modules as an SVG path; a row of them is one rectangle.
    pub(super) path: String,
}

impl UrlCode {
    /// Draws a text; `None` if it is too long for a code.
    pub(super) fn new(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let colors = code.to_colors();
        let mut path = String::new();
        for (y, row) in colors.chunks(width.max(1)).enumerate() {
            let mut x = MARGIN;
            for run in row.chunk_by(|one, next| one == next) {
                if run.first() == Some(&Color::Dark) {
                    path.push_str(&format!("M{x} {}h{}v1h-{}z", y + MARGIN, run.len(), run.len()));
                }
                x += run.len();
            }
        }
        Some(Self { side: width + 2 * MARGIN, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_corners_and_a_margin() {
        let code = UrlCode::new("http://192.0.2.7:8089/alarm/0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(code.side, 33 + 8, "version 4");
        // The upper edges of the two upper corners are one row, 7 modules each.
        assert!(
            code.path.starts_with("M4 4h7v1h-7z") && code.path.contains("M30 4h7v1h-7z"),
            "{}",
            code.path
        );
        assert!(code.path.contains("M4 36h7v1h-7z"), "{}", code.path);
        assert!(UrlCode::new(&"x".repeat(5_000)).is_none());
    }
}
