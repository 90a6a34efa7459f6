//! JPEG header: detection and dimensions of a picture.

/// Marker of the picture's data, behind the header.
const SCAN: u8 = 0xda;
/// Marker of the end. In the data, FF is followed by another byte.
const END: &[u8] = &[0xff, 0xd9];

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
    frame(segment(bytes, |marker| matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf))?)
}

/// Length in bytes of the JPEG that begins here; `None` if it is damaged or has no end. The preview that a camera may put
/// into its header belongs to it.
#[must_use]
pub fn length(bytes: &[u8]) -> Option<usize> {
    let scan = segment(bytes, |marker| marker == SCAN)?;
    let end = memchr::memmem::find(scan, END)?;
    Some(bytes.len() - scan.len() + end + END.len())
}

/// The bytes behind the first marker of a kind in the header.
fn segment(bytes: &[u8], is_wanted: impl Fn(u8) -> bool) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        // A marker may be padded with any number of FF.
        let at = rest.iter().position(|byte| *byte != 0xff)?;
        if at == 0 {
            return None;
        }
        let (marker, tail) = rest.get(at..)?.split_first()?;
        match *marker {
            marker if is_wanted(marker) => return Some(tail),
            0x01 | 0xd0..=0xd7 => rest = tail,
            0xd8 | 0xd9 | SCAN | 0x00 => return None,
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
    use super::{Dimensions, dimensions, length};

    const TINY: &[u8] = &[
        0xff, 0xd8, 0xff, 0xdb, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 11, 8, 0x05, 0xf0, 0x0a, 0x80, 1, 1, 0x11,
        0, 0xff, 0xd9,
    ];

    #[test]
    fn reads_the_frame_header() {
        assert_eq!(dimensions(TINY), Some(Dimensions { width: 2688, height: 1520 }));
    }

    #[test]
    fn a_picture_ends_behind_its_own_end_and_not_behind_that_of_its_preview() {
        let preview = b"\xff\xd8\xff\xda\0\x02p\xff\xd9";
        let whole =
            [b"\xff\xd8\xff\xe1\0\x0b", preview.as_slice(), b"\xff\xda\0\x02\xff\0data\xff\xd9"].concat();
        assert_eq!(length(&[&whole, b" behind \xff\xd9".as_slice()].concat()), Some(whole.len()));
        assert_eq!((length(TINY), length(b"\xff\xd8\xff\xda\0\x02cut"), length(b"text")), (None, None, None));
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
