//! Buffers for bodies and pictures. Large ones are memory-mapped: their memory returns to the system when they are
//! dropped, where an allocator would keep it, once for each of its arenas; and pages that were not filled use none.

use std::io::{self, Read};
use std::ops::{Deref, DerefMut, Range};

use bytes::Bytes;
use memmap2::{MmapMut, MmapOptions};

/// Size in bytes from which on a buffer is memory-mapped.
const LARGE: usize = 64 << 10;

/// Size in bytes up to which all of its memory is allocated at once.
const AT_ONCE: usize = 1 << 20;

/// A buffer that is filled in pieces.
#[derive(Debug)]
pub(crate) struct Buffer {
    space: Space,
}

/// Memory that holds the bytes.
#[derive(Debug)]
enum Space {
    Heap(Vec<u8>),
    Mapped { map: MmapMut, len: usize },
}

impl Buffer {
    /// An empty buffer with room for `bytes`.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let map = if LARGE <= bytes { mapped(bytes) } else { None };
        // A failed mapping falls back to the heap.
        let space = map.map_or_else(
            || Space::Heap(Vec::with_capacity(bytes.min(LARGE))),
            |map| Space::Mapped { map, len: 0 },
        );
        Self { space }
    }

    /// Number of bytes it can hold without moving.
    pub(crate) fn capacity(&self) -> usize {
        match &self.space {
            Space::Heap(bytes) => bytes.capacity(),
            Space::Mapped { map, .. } => map.len(),
        }
    }

    /// Makes room for `bytes` in total.
    pub(crate) fn grow_to(&mut self, bytes: usize) {
        if bytes <= self.capacity() {
            return;
        }
        match &mut self.space {
            Space::Heap(held) if bytes < LARGE => held.reserve_exact(bytes - held.len()),
            space => {
                let mut larger = Self::with_capacity(bytes);
                if let (Space::Heap(held), Space::Heap(_)) = (space, &larger.space) {
                    // A failed mapping falls back to the heap.
                    held.reserve(bytes - held.len());
                } else {
                    larger.append(self);
                    *self = larger;
                }
            }
        }
    }

    /// Appends bytes, and makes room for them if necessary.
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

    /// Removes bytes from the middle.
    pub(crate) fn cut(&mut self, range: Range<usize>) {
        match &mut self.space {
            Space::Heap(bytes) => drop(bytes.drain(range)),
            Space::Mapped { map, len } => {
                map.copy_within(range.end..*len, range.start);
                *len -= range.len();
            }
        }
    }

    /// Reads a whole file of `bytes` bytes.
    ///
    /// # Errors
    /// Returns an error when it cannot be read.
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

/// A mapping; if it will be filled at once, all pages are allocated at once.
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

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.space {
            Space::Heap(bytes) => bytes,
            Space::Mapped { map, len } => map.get_mut(..*len).unwrap_or_default(),
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
