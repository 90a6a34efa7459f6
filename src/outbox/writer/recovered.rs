//! What a database set aside still held, on its way back into the log.

use super::Writer;
use crate::model::Record;
use crate::outbox::effects::{Effects, Entry};
use crate::outbox::history::entry_by_id;
use crate::outbox::recover::Salvaged;

impl Writer {
    /// Takes devices that are not known, ends what no longer goes on, and commits records that are not known, with new
    /// numbers and as `replayed`; how many records that were.
    pub(super) fn take_back(&mut self, salvaged: Salvaged, effects: &mut Effects) -> u64 {
        let now = self.now();
        for device in salvaged.devices {
            self.ledger.adopt(device, effects);
        }
        for (source, event) in salvaged.ongoing {
            self.found_on(&source, &event, now, effects);
        }
        let mut taken = 0;
        for record in salvaged.records {
            if self.is_known(&record) {
                continue;
            }
            let source_no = self.ledger.known_or_kept(record.source(), record.at(), effects);
            self.ledger.entry(record, source_no, now.mono, Entry::REPLAYED, effects);
            effects.pictures.extend(effects.entries.last().and_then(|entry| entry.picture_row()));
            taken += 1;
        }
        taken
    }

    /// Whether a record is in the log already.
    fn is_known(&self, record: &Record) -> bool {
        let connection = self.disk.connection.as_ref();
        connection.is_some_and(|connection| matches!(entry_by_id(connection, record.id()), Ok(Some(_))))
    }
}
