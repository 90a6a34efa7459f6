//! The card of a database, stored in notes: see [`DatabaseCard`].

use rusqlite::{Connection, TransactionBehavior};

use crate::outbox::state::changes::StateChanges;
use crate::outbox::store::lineage::DatabaseCard;
use crate::outbox::store::schema;

const STORE: &str = "store";
const STARTS: &str = "starts";
const SEQ_FLOOR: &str = "seq_floor";
const NO_FLOOR: &str = "no_floor";
/// Note of the highest `seq` of removed devices; it is also written with each removal.
pub(crate) const REMOVED_SEQ: &str = "removed_seq";

/// Reads the card. A database without one is a store of its own that was never started.
pub(super) fn read(connection: &Connection, identity: Option<&str>) -> rusqlite::Result<DatabaseCard> {
    let store = schema::note(connection, STORE)?;
    Ok(DatabaseCard {
        store: store.or_else(|| identity.map(str::to_owned)).unwrap_or_default(),
        starts: number(connection, STARTS)?,
        seq_floor: number(connection, SEQ_FLOOR)?.unsigned_abs(),
        removed_seq: number(connection, REMOVED_SEQ)?.unsigned_abs(),
        no_floor: number(connection, NO_FLOOR)?,
    })
}

/// A number stored as a note; 0 if there is none.
pub(super) fn number(connection: &Connection, key: &str) -> rusqlite::Result<i64> {
    let number = schema::note(connection, key)?.and_then(|text| text.parse().ok());
    Ok(number.unwrap_or(0).max(0))
}

/// Writes the card; returns once it is on the disk with everything written before.
pub(crate) fn write_card(connection: &mut Connection, card: &DatabaseCard) -> rusqlite::Result<()> {
    let mut changes = StateChanges::default();
    card.note(&mut changes);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    super::write::write_notes(&transaction, &changes)?;
    transaction.commit()
}

impl DatabaseCard {
    /// Notes of the card, for a commit.
    pub(crate) fn note(&self, changes: &mut StateChanges) {
        changes.notes.extend([
            (STORE.into(), self.store.clone()),
            (STARTS.into(), self.starts.to_string()),
            (SEQ_FLOOR.into(), self.seq_floor.to_string()),
            (REMOVED_SEQ.into(), self.removed_seq.to_string()),
            (NO_FLOOR.into(), self.no_floor.to_string()),
        ]);
    }
}
