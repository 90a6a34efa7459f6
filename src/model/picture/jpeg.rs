//! JPEG header: detection and dimensions of a picture.

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Returns whether the bytes begin as a JPEG. Only `FF D8 FF` is checked: some cameras send neither JFIF nor EXIF.
#[must_use]
pub fn starts_as_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Reads the dimensions from the frame header; `None` if the bytes are not a JPEG or end before it.
#[must_use]
pub fn dimensions(bytes: &[u8]) -> Option<Dimensions> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        // A marker may be padded with any number of FF.
        let at = rest.iter().position(|byte| *byte != 0xff)?;
        if at == 0 {
            return None;
        }
        let (marker, tail) = rest.get(at..)?.split_first()?;
        match marker {
            0x01 | 0xd0..=0xd7 => rest = tail,
            0xd8 | 0xd9 | 0xda | 0x00 => return None,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return frame(tail),
            _ => {
                let length = usize::from(u16::from_be_bytes([*tail.first()?, *tail.get(1)?]));
                rest = tail.get(length.max(2)..)?;
            }
        }
    }
}

/// The dimensions in a start-of-frame segment (length, precision, height, width).
fn frame(segment: &[u8]) -> Option<Dimensions> {
    let [_, _, _, h1, h2, w1, w2] = *segment.first_chunk::<7>()?;
    let (width, height) = (u32::from(u16::from_be_bytes([w1, w2])), u32::from(u16::from_be_bytes([h1, h2])));
    (width > 0 && height > 0).then_some(Dimensions { width, height })
}

#[cfg(test)]
mod tests {
    use super::{Dimensions, dimensions};

    const TINY: &[u8] = &[
        0xff, 0xd8, 0xff, 0xdb, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 11, 8, 0x05, 0xf0, 0x0a, 0x80, 1, 1, 0x11,
        0, 0xff, 0xd9,
    ];

    #[test]
    fn reads_the_frame_header() {
        assert_eq!(dimensions(TINY), Some(Dimensions { width: 2688, height: 1520 }));
    }

    #[test]
    fn any_cut_of_it_is_harmless() {
        for end in 0..TINY.len() {
            let found = dimensions(TINY.get(..end).unwrap());
            assert!(found.is_none() || end >= 18, "{end}");
        }
        assert_eq!(dimensions(b"\xff\xd8\xff\xfe\xff\xff"), None);
        assert_eq!(dimensions(b"GIF89a"), None);
    }
}
