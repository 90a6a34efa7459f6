//! Variants of a picture: a small one, and one with the boxes of its alarm drawn.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder};
use serde::{Deserialize, Serialize};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::jpeg;
use crate::model::BoundingBox;

/// Width of a small picture in pixels.
const SMALL_WIDTH: usize = 320;
/// Largest number of pixels that are decoded: 72 MiB of memory.
const MAX_PIXELS: usize = 24 << 20;
/// Largest width and height that are decoded.
const MAX_SIDE: usize = 16_384;
/// Quality of the JPEG.
const QUALITY: u8 = 80;
/// Color of boxes.
const COLOR: [u8; 3] = [255, 64, 0];
/// Width of the picture in pixels for each pixel of a line's width.
const LINE: usize = 400;
/// Bytes of a pixel.
const RGB: usize = 3;

/// Form of a picture that is published besides the picture itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureForm {
    /// 320 pixels wide.
    Small,
    /// With the boxes drawn.
    Boxes,
}

impl PictureForm {
    /// Its name in topics and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Boxes => "boxes",
        }
    }
}

/// Variant of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Variant {
    /// At most 320 pixels wide.
    pub small: bool,
    /// With the boxes drawn.
    pub boxes: bool,
}

impl From<PictureForm> for Variant {
    fn from(form: PictureForm) -> Self {
        Self { small: form == PictureForm::Small, boxes: form == PictureForm::Boxes }
    }
}

/// Reason why no variant can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariantError {
    /// The JPEG cannot be decoded.
    #[error("the picture cannot be decoded ({0}): see whether it is complete")]
    Damaged(String),
    /// The picture has too many pixels.
    #[error("the picture has {0} x {1} pixels, more than are decoded: lower the resolution in the camera")]
    TooLarge(usize, usize),
}

/// Makes a variant of a JPEG. It takes tens of milliseconds of CPU time.
///
/// # Errors
/// Fails when the picture cannot be decoded, or has too many pixels.
pub fn make(picture: &[u8], variant: Variant, boxes: &[BoundingBox]) -> Result<Bytes, VariantError> {
    let mut image = decode(picture)?;
    if variant.small && SMALL_WIDTH < image.width {
        image = image.shrunk(SMALL_WIDTH);
    }
    if variant.boxes {
        boxes.iter().for_each(|of| image.outline(of));
    }
    image.encode()
}

/// Pixels of three bytes, row by row.
struct Image {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

fn decode(picture: &[u8]) -> Result<Image, VariantError> {
    if let Some(found) = jpeg::dimensions(picture) {
        let (width, height) = (found.width as usize, found.height as usize);
        if MAX_PIXELS < width.saturating_mul(height) || MAX_SIDE < width.max(height) {
            return Err(VariantError::TooLarge(width, height));
        }
    }
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let decode = || -> Result<Image, String> {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(picture), options);
        decoder.decode_headers().map_err(|error| error.to_string())?;
        let (width, height) = decoder.dimensions().ok_or("it has no dimensions")?;
        if MAX_PIXELS < width.saturating_mul(height) {
            return Err("it has too many pixels".into());
        }
        let pixels = decoder.decode().map_err(|error| error.to_string())?;
        let whole = pixels.len() == width * height * RGB;
        if whole { Ok(Image { width, height, pixels }) } else { Err("its colors are not supported".into()) }
    };
    // A mistake of the decoder costs the variant, not the caller.
    let decoded = catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("the decoder failed".into()));
    decoded.map_err(VariantError::Damaged)
}

impl Image {
    /// The same at a smaller width; each pixel is the mean of those that it covers.
    fn shrunk(&self, width: usize) -> Self {
        let height = (self.height * width / self.width).max(1);
        let mut pixels = Vec::with_capacity(width * height * RGB);
        for y in 0..height {
            let rows = span(y, height, self.height);
            for x in 0..width {
                let columns = span(x, width, self.width);
                let mut sums = [0_usize; RGB];
                for row in rows.clone() {
                    let from = (row * self.width + columns.start) * RGB;
                    let covered = self.pixels.get(from..from + columns.len() * RGB).unwrap_or_default();
                    for (at, value) in covered.iter().enumerate() {
                        if let Some(sum) = sums.get_mut(at % RGB) {
                            *sum += usize::from(*value);
                        }
                    }
                }
                let count = rows.len() * columns.len();
                pixels.extend(sums.map(|sum| u8::try_from(sum / count).unwrap_or(u8::MAX)));
            }
        }
        Self { width, height, pixels }
    }

    /// Draws the outline of a box.
    fn outline(&mut self, of: &BoundingBox) {
        let thick = (self.width / LINE).max(1);
        let (left, right) = (at(of.x, self.width), at(of.x + of.width, self.width));
        let (top, bottom) = (at(of.y, self.height), at(of.y + of.height, self.height));
        self.fill(left..right, top..(top + thick).min(bottom));
        self.fill(left..right, bottom.saturating_sub(thick).max(top)..bottom);
        self.fill(left..(left + thick).min(right), top..bottom);
        self.fill(right.saturating_sub(thick).max(left)..right, top..bottom);
    }

    fn fill(&mut self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) {
        for row in rows {
            let from = (row * self.width + columns.start) * RGB;
            let line = self.pixels.get_mut(from..from + columns.len() * RGB).unwrap_or_default();
            line.iter_mut().zip(COLOR.iter().cycle()).for_each(|(value, color)| *value = *color);
        }
    }

    fn encode(&self) -> Result<Bytes, VariantError> {
        let side = |side| u16::try_from(side).map_err(|_| VariantError::TooLarge(self.width, self.height));
        let mut bytes = Vec::with_capacity(self.pixels.len() / 8);
        Encoder::new(&mut bytes, QUALITY)
            .encode(&self.pixels, side(self.width)?, side(self.height)?, ColorType::Rgb)
            .map_err(|error| VariantError::Damaged(error.to_string()))?;
        Ok(bytes.into())
    }
}

/// The pixels of the old side that one of the new side covers; at least one.
fn span(at: usize, new: usize, old: usize) -> std::ops::Range<usize> {
    let start = at * old / new;
    start..((at + 1) * old / new).max(start + 1)
}

/// The pixel at a fraction of a side, at most its end.
#[expect(clippy::cast_possible_truncation, reason = "the value is within the side")]
fn at(fraction: f64, side: usize) -> usize {
    (fraction.clamp(0.0, 1.0) * side as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::{Variant, VariantError, decode, make};
    use crate::model::BoundingBox;

    fn gray(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = vec![128; usize::from(width) * usize::from(height)];
        jpeg_encoder::Encoder::new(&mut bytes, 90)
            .encode(&pixels, width, height, jpeg_encoder::ColorType::Luma)
            .unwrap();
        bytes
    }

    #[test]
    fn a_small_picture_is_320_wide_and_a_smaller_one_stays() {
        let small = Variant { small: true, boxes: false };
        let sides = |picture: &[u8]| {
            decode(&make(picture, small, &[]).unwrap()).map(|image| (image.width, image.height))
        };
        assert_eq!(sides(&gray(1280, 720)), Ok((320, 180)));
        assert_eq!(sides(&gray(1001, 333)), Ok((320, 106)));
        assert_eq!(sides(&gray(100, 50)), Ok((100, 50)));
        let image = decode(&make(&gray(1280, 720), small, &[]).unwrap()).unwrap();
        assert!(image.pixels.iter().all(|value| value.abs_diff(128) < 4));
    }

    #[test]
    fn boxes_are_outlined_and_stay_within_the_picture() {
        let boxes = [
            BoundingBox { x: 0.25, y: 0.25, width: 0.5, height: 0.5 },
            BoundingBox { x: 0.9, y: 0.9, width: 9.0, height: 9.0 },
            BoundingBox { x: f64::NAN, y: -1.0, width: -3.0, height: 0.0 },
        ];
        let drawn = make(&gray(800, 400), Variant { small: false, boxes: true }, &boxes).unwrap();
        let image = decode(&drawn).unwrap();
        let red = |x: usize, y: usize| image.pixels[(y * image.width + x) * 3];
        assert!(red(200, 200) > 200, "the left edge: {}", red(200, 200));
        assert!(red(400, 101) > 180, "the upper edge: {}", red(400, 101));
        assert!(red(400, 200).abs_diff(128) < 8, "the inside stays");
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error() {
        let whole = gray(320, 200);
        let cut = make(b"\xff\xd8\xff\xe0 no picture", Variant::default(), &[]);
        assert!(matches!(cut, Err(VariantError::Damaged(_))), "{cut:?}");
        let mut huge = whole;
        let at = huge.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        huge[at + 5..at + 9].copy_from_slice(&[0xff; 4]);
        assert_eq!(make(&huge, Variant::default(), &[]), Err(VariantError::TooLarge(65535, 65535)));
    }
}
