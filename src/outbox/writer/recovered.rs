//! Records of a recovered database are committed to the log.

use super::Writer;
use crate::model::Record;
use crate::outbox::effects::Effects;
use crate::outbox::log::entry::Entry;
use crate::outbox::log::history::entry_by_id;
use crate::outbox::store::recover::Salvaged;

impl Writer {
    /// Adds unknown devices, ends activities that are over, and commits unknown records, with new numbers and as
    /// `replayed`. Returns the number of these records.
    pub(super) fn commit_salvaged(&mut self, salvaged: Salvaged, effects: &mut Effects) -> u64 {
        let now = self.now();
        for device in salvaged.devices {
            self.ledger.adopt(device, effects);
        }
        for (source, event) in salvaged.ongoing {
            self.ledger.found_on(&source, &event, now, effects);
        }
        let mut taken = 0;
        for record in salvaged.records {
            if self.is_known(&record) {
                continue;
            }
            let source_no = self.ledger.known_or_kept(record.source(), record.at(), effects);
            self.ledger.entry(record, source_no, now.mono, Entry::REPLAYED, effects);
            effects.log.pictures.extend(effects.log.entries.last().and_then(|entry| entry.picture_row()));
            taken += 1;
        }
        taken
    }

    /// Returns whether a record is in the log already.
    fn is_known(&self, record: &Record) -> bool {
        let connection = self.disk.connection.as_ref();
        connection.is_some_and(|connection| matches!(entry_by_id(connection, record.id()), Ok(Some(_))))
    }
}
