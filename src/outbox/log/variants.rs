//! Variants of pictures, made on demand: one at a time, since each takes memory for all pixels, and the latest are kept.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use super::pictures::Pictures;
use crate::model::AlarmRecord;
use crate::model::picture::variant::{Variant, VariantError, make};

/// Memory for variants.
const MEMORY: usize = 16 << 20;

/// Reason why there is no variant.
#[derive(Debug, thiserror::Error)]
pub enum NoVariant {
    /// The picture is gone, or the disk fails.
    #[error("the picture cannot be read: {0}")]
    Unread(#[from] io::Error),
    /// The picture cannot be decoded.
    #[error(transparent)]
    Unmade(#[from] VariantError),
}

/// Variants that were made lately; a cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Variants {
    kept: Arc<Mutex<Kept>>,
    /// Held while one is made.
    turn: Arc<Mutex<()>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By alarm, since each draws its own boxes into a picture that several may share; oldest first.
    variants: VecDeque<(Uuid, Variant, Bytes)>,
    bytes: usize,
}

impl Kept {
    fn get(&self, alarm: Uuid, variant: Variant) -> Option<Bytes> {
        let found = self.variants.iter().find(|(of, what, _)| (*of, *what) == (alarm, variant));
        found.map(|(_, _, bytes)| bytes.clone())
    }

    fn put(&mut self, alarm: Uuid, variant: Variant, bytes: &Bytes) {
        self.bytes += bytes.len();
        self.variants.push_back((alarm, variant, bytes.clone()));
        while MEMORY < self.bytes {
            let Some((_, _, oldest)) = self.variants.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }
}

impl Pictures {
    /// A variant of an alarm's picture; `None`: the alarm has no picture. It blocks for tens of milliseconds.
    ///
    /// # Errors
    /// When the picture is gone, the disk fails, or the picture cannot be decoded.
    pub fn variant(&self, alarm: &AlarmRecord, variant: Variant) -> Result<Option<Bytes>, NoVariant> {
        let Some(picture) = alarm.snapshot.as_ref().and_then(|snapshot| snapshot.picture) else {
            return Ok(None);
        };
        let variants = self.variants();
        let kept = || variants.kept.lock();
        if let Some(found) = kept().get(alarm.id, variant) {
            return Ok(Some(found));
        }
        let _turn = variants.turn.lock();
        if let Some(found) = kept().get(alarm.id, variant) {
            return Ok(Some(found));
        }
        let bytes = make(&self.read(picture)?, variant, &alarm.boxes)?;
        kept().put(alarm.id, variant, &bytes);
        Ok(Some(bytes))
    }
}
