//! The pictures: a place, who walks there, and the clock and name a camera writes into the frame.

use std::str::FromStr;

use jpeg_encoder::{ColorType, Encoder, EncodingError};

use scene::Scene;

mod figures;
pub mod font;
pub mod scene;

mod yard;

/// Bytes of a pixel: red, green, blue.
const PIXEL: usize = 3;
/// JPEG quality; with the grain of the picture, it results in 100 to 200 KB for 1280x720.
const QUALITY: u8 = 85;
/// Markers of segments: JFIF header, quantization tables, and start of the picture.
const JFIF: u8 = 0xe0;
const TABLES: u8 = 0xdb;
const SCAN: u8 = 0xda;

/// Size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u16,
    /// Height.
    pub height: u16,
}

/// The text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a picture size: write width and height in pixels, 1280x720 (64x64 to 8192x8192)")]
pub struct NotASize(pub String);

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |side: &str| side.parse().ok().filter(|pixels| (64..=8_192).contains(pixels));
        text.split_once('x')
            .and_then(|(width, height)| Some(Self { width: side(width)?, height: side(height)? }))
            .ok_or_else(|| NotASize(text.into()))
    }
}

/// Draws a scene as a JPEG without a JFIF header, as VIGI cameras send it.
///
/// # Errors
/// None that happens: the encoder refuses sizes that [`Size`] does not allow.
pub fn draw(scene: &Scene, captions: [&str; 2], size: Size) -> Result<Vec<u8>, EncodingError> {
    let mut canvas = Canvas::new(size);
    let [_, name] = captions;
    yard::paint(&mut canvas, name);
    canvas.figures(scene);
    let [top, bottom] = captions;
    let scale = (usize::from(size.height) / 200).max(1);
    let margin = 4 * scale;
    canvas.write(top, margin, margin, scale);
    let last = usize::from(size.height).saturating_sub(margin + font::HEIGHT * scale);
    canvas.write(bottom, margin, last, scale);
    let mut jpeg = Vec::new();
    Encoder::new(&mut jpeg, QUALITY).encode(&canvas.pixels, size.width, size.height, ColorType::Rgb)?;
    Ok(as_camera(&jpeg))
}

/// Orders the segments as cameras do: no JFIF, and the quantization tables first (`FF D8 FF DB`).
fn as_camera(jpeg: &[u8]) -> Vec<u8> {
    let (mut tables, mut others) = (Vec::new(), Vec::new());
    let mut rest = jpeg.get(2..).unwrap_or_default();
    while let [0xff, marker, high, low, ..] = *rest {
        let length = 2 + usize::from(u16::from_be_bytes([high, low]));
        let Some((segment, tail)) = rest.split_at_checked(length).filter(|_| marker != SCAN) else { break };
        match marker {
            JFIF => {}
            TABLES => tables.extend_from_slice(segment),
            _ => others.extend_from_slice(segment),
        }
        rest = tail;
    }
    [&[0xff, 0xd8], tables.as_slice(), others.as_slice(), rest].concat()
}

/// Pixels, row by row.
struct Canvas {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Canvas {
    /// A black canvas.
    fn new(size: Size) -> Self {
        let (width, height) = (usize::from(size.width), usize::from(size.height));
        Self { pixels: vec![0; width * height * PIXEL], width, height }
    }

    /// Writes white text on black; what does not fit is cut off.
    fn write(&mut self, text: &str, x: usize, y: usize, scale: usize) {
        let step = (font::WIDTH + 1) * scale;
        let length = text.chars().count() * step;
        self.fill(x.saturating_sub(scale), y.saturating_sub(scale), length + scale, 9 * scale, [12, 12, 12]);
        for (number, sign) in text.chars().enumerate() {
            for (column, row) in font::dots(sign) {
                let left = x + number * step + column * scale;
                self.fill(left, y + row * scale, scale, scale, [245, 245, 245]);
            }
        }
    }

    /// Paints a rectangle; parts outside the canvas are ignored.
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: [u8; PIXEL]) {
        let left = x.min(self.width) * PIXEL;
        let right = (x + width).min(self.width) * PIXEL;
        for row in self.pixels.chunks_exact_mut(self.width * PIXEL).skip(y).take(height) {
            for pixel in row.get_mut(left..right).into_iter().flat_map(|row| row.chunks_exact_mut(PIXEL)) {
                pixel.copy_from_slice(&color);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scene::{FigureKind, Scene};
    use super::{Size, draw};
    use crate::model::picture::jpeg::{Dimensions, dimensions};

    #[test]
    fn a_picture_is_a_jpeg_as_cameras_send_it() {
        let size: Size = "1280x720".parse().unwrap();
        let jpeg =
            draw(&Scene::at(FigureKind::Car, 0, 4), ["2026-10-05 16:25:31", "FRONT DOOR"], size).unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff, 0xdb]) && jpeg.ends_with(&[0xff, 0xd9]));
        assert_eq!(dimensions(&jpeg), Some(Dimensions { width: 1280, height: 720 }));
        assert!((80_000..240_000).contains(&jpeg.len()), "{} bytes", jpeg.len());
    }

    #[test]
    fn small_pictures_and_long_names_fit_too() {
        let size = Size { width: 64, height: 64 };
        let jpeg =
            draw(&Scene::at(FigureKind::Cat, 0, 0), ["2026-10-05 16:25:31", &"x".repeat(500)], size).unwrap();
        assert_eq!(dimensions(&jpeg), Some(Dimensions { width: 64, height: 64 }));
    }

    #[test]
    fn a_size_says_what_it_wants() {
        for wrong in ["", "1280", "1280*720", "0x0", "99999x10"] {
            assert!(wrong.parse::<Size>().is_err_and(|error| error.to_string().contains("1280x720")));
        }
    }
}
