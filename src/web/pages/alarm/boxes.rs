//! Boxes drawn over a picture: an SVG whose units are fractions of the picture.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::model::BoundingBox;

/// The boxes of one alarm.
#[derive(Debug, Clone, Default)]
pub(in crate::web::pages) struct Boxes(pub(in crate::web::pages) Vec<BoundingBox>);

impl fmt::Display for Boxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str(
            "<svg class=\"boxes\" viewBox=\"0 0 1 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        )?;
        // A dark line below the bright one keeps both visible on any picture.
        for class in ["under", "over"] {
            for BoundingBox { x, y, width, height } in &self.0 {
                write!(
                    f,
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
                )?;
            }
        }
        f.write_str("</svg>")
    }
}

/// Consists of numbers only.
impl HtmlSafe for Boxes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_drawn_in_fractions() {
        let boxes = Boxes(vec![BoundingBox { x: 0.25, y: 0.5, width: 0.125, height: 0.5 }]);
        let expected = "<rect class=\"over\" x=\"0.25\" y=\"0.5\" width=\"0.125\" height=\"0.5\"/>";
        assert!(boxes.to_string().contains(expected));
        assert_eq!(Boxes::default().to_string(), "");
    }
}
