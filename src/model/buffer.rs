//! Buffers for bodies and pictures. Large ones are mapped by themselves: their memory goes back to the system when they
//! are dropped, where an allocator would keep it, once for each of its arenas; and what was asked for and not filled
//! takes none.

use std::io::{self, Read};
use std::ops::{Deref, Range};

use bytes::Bytes;
use memmap2::{MmapMut, MmapOptions};

/// From so many bytes on a buffer is mapped.
const LARGE: usize = 64 << 10;

/// Up to so many bytes all of its memory is taken at once.
const AT_ONCE: usize = 1 << 20;

/// Bytes that come in pieces.
#[derive(Debug)]
pub(crate) struct Buffer {
    space: Space,
}

/// Where the bytes are.
#[derive(Debug)]
enum Space {
    Heap(Vec<u8>),
    Mapped { map: MmapMut, len: usize },
}

impl Buffer {
    /// An empty one with room for so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let map = if LARGE <= bytes { mapped(bytes) } else { None };
        // Without a mapping it is as good, if not as lean.
        let space = map.map_or_else(
            || Space::Heap(Vec::with_capacity(bytes.min(LARGE))),
            |map| Space::Mapped { map, len: 0 },
        );
        Self { space }
    }

    /// How many bytes it takes before it moves.
    pub(crate) fn capacity(&self) -> usize {
        match &self.space {
            Space::Heap(bytes) => bytes.capacity(),
            Space::Mapped { map, .. } => map.len(),
        }
    }

    /// Makes room for so many bytes in all.
    pub(crate) fn grow_to(&mut self, bytes: usize) {
        if bytes <= self.capacity() {
            return;
        }
        match &mut self.space {
            Space::Heap(held) if bytes < LARGE => held.reserve_exact(bytes - held.len()),
            space => {
                let mut larger = Self::with_capacity(bytes);
                if let (Space::Heap(held), Space::Heap(_)) = (space, &larger.space) {
                    // There is no mapping to be had.
                    held.reserve(bytes - held.len());
                } else {
                    larger.append(self);
                    *self = larger;
                }
            }
        }
    }

    /// Adds bytes, for which it makes room if there is none.
    pub(crate) fn append(&mut self, more: &[u8]) {
        let end = self.len() + more.len();
        if self.capacity() < end {
            self.grow_to(end.max(self.len() * 2));
        }
        match &mut self.space {
            Space::Heap(bytes) => bytes.extend_from_slice(more),
            Space::Mapped { map, len } => {
                if let Some(room) = map.get_mut(*len..end) {
                    room.copy_from_slice(more);
                    *len = end;
                }
            }
        }
    }

    /// Takes bytes out of the middle.
    pub(crate) fn cut(&mut self, range: Range<usize>) {
        match &mut self.space {
            Space::Heap(bytes) => drop(bytes.drain(range)),
            Space::Mapped { map, len } => {
                map.copy_within(range.end..*len, range.start);
                *len -= range.len();
            }
        }
    }

    /// Reads a whole file of so many bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(file: &mut impl Read, bytes: usize) -> io::Result<Bytes> {
        let mut buffer = Self::with_capacity(bytes);
        match &mut buffer.space {
            Space::Heap(held) => {
                file.read_to_end(held)?;
            }
            Space::Mapped { map, len } => {
                file.read_exact(map)?;
                *len = bytes;
            }
        }
        Ok(buffer.into())
    }
}

/// A mapping; what is to be filled at once is there at once, and not page by page.
fn mapped(bytes: usize) -> Option<MmapMut> {
    let mut options = MmapOptions::new();
    options.len(bytes);
    if bytes <= AT_ONCE {
        options.populate();
    }
    options.map_anon().ok()
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.space {
            Space::Heap(bytes) => bytes,
            Space::Mapped { map, len } => map.get(..*len).unwrap_or_default(),
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Self {
        match buffer.space {
            Space::Heap(bytes) => bytes.into(),
            Space::Mapped { .. } => Self::from_owner(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_and_cut_is_the_same_on_the_heap_and_mapped() {
        for capacity in [0, 10, LARGE, 4 * LARGE] {
            let mut buffer = Buffer::with_capacity(capacity);
            let mut expected = Vec::new();
            for n in 0..200_u8 {
                buffer.append(&[n; 1_500]);
                expected.extend_from_slice(&[n; 1_500]);
            }
            assert!(matches!(buffer.space, Space::Mapped { .. }));
            for range in [10_000..20_000, 0..1, 280_000..buffer.len() - 10_001] {
                buffer.cut(range.clone());
                expected.drain(range);
            }
            buffer.append(b"end");
            expected.extend_from_slice(b"end");
            assert_eq!(&*buffer, expected);
            assert_eq!(Bytes::from(buffer), expected);
        }
    }

    #[test]
    fn files_of_any_size_are_read_whole() {
        for bytes in [0, 1, LARGE - 1, LARGE, LARGE + 1] {
            let content = vec![7; bytes];
            assert_eq!(Buffer::read(&mut &content[..], bytes).unwrap(), content);
            assert!(Buffer::read(&mut &content[..], bytes + LARGE).is_err(), "it is shorter");
        }
    }
}
