//! Writing: converts the changes of a commit into rows.
//!
//! Rows that are written with every alarm use an upsert and not a REPLACE, for which SQLite first copies each page it
//! may have to restore.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{event_text, signed};
use crate::activity::{ActivityKey, Ongoing};
use crate::model::EventName;
use crate::outbox::delivery::changes::{DeliveryChanges, ParkedChange};
use crate::outbox::effects::Effects;
use crate::outbox::log::changes::LogChanges;
use crate::outbox::log::retention::REQUESTS;
use crate::outbox::log::reviewed;
use crate::outbox::state::changes::{Counters, StateChanges};
use crate::outbox::state::value::{ValueContent, ValueKey};

/// Writes changes in one transaction: the deferred rows first, then each set in order.
pub(crate) fn write(
    connection: &mut Connection,
    deferred: Option<&StateChanges>,
    sets: &[&Effects],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(deferred) = deferred {
        write_deferrable(&transaction, deferred)?;
    }
    for effects in sets {
        write_at_once(&transaction, effects)?;
        write_deferrable(&transaction, &effects.state)?;
    }
    transaction.commit()
}

/// Writes the changes of one commit without the rows that may be deferred.
pub(crate) fn write_deferring(connection: &mut Connection, effects: &Effects) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write_at_once(&transaction, effects)?;
    transaction.commit()
}

fn write_at_once(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let state = &effects.state;
    write_log(transaction, &effects.log)?;
    reviewed::write(transaction, &effects.log.reviews)?;
    write_values(transaction, state, |key| !state.may_defer(key))?;
    write_devices(transaction, state)?;
    for (key, ongoing) in &state.activities {
        write_activity(transaction, key, ongoing.as_ref())?;
    }
    write_notes(transaction, state)?;
    write_delivery(transaction, &effects.delivery)?;
    effects.cluster.write(transaction)?;
    write_requests(transaction, &effects.log)
}

fn write_deferrable(transaction: &Transaction<'_>, state: &StateChanges) -> rusqlite::Result<()> {
    write_values(transaction, state, |key| state.may_defer(key))?;
    for (no, counters) in &state.counters {
        write_counters(transaction, *no, *counters)?;
    }
    for (key, ongoing) in &state.repeats {
        write_activity(transaction, key, Some(ongoing))?;
    }
    Ok(())
}

fn write_log(transaction: &Transaction<'_>, changes: &LogChanges) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO entry (no, source, id, at, picture, event, again, run, mono, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (no) DO NOTHING",
    )?;
    for entry in &changes.entries {
        let id = entry.record.id();
        let picture = entry.picture();
        insert.execute(params![
            entry.no,
            entry.source_no,
            id.as_bytes(),
            entry.record.at().as_millisecond(),
            picture.as_ref().map(|id| id.as_bytes()),
            entry.event().map(EventName::as_str),
            entry.replay_for,
            entry.run,
            entry.mono_ms,
            entry.body,
        ])?;
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO picture (id, at, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
    )?;
    for picture in &changes.pictures {
        insert.execute(params![picture.id.as_bytes(), picture.at.as_millisecond(), signed(picture.bytes)])?;
    }
    Ok(())
}

fn write_values(
    transaction: &Transaction<'_>,
    changes: &StateChanges,
    which: impl Fn(&ValueKey) -> bool,
) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO value (source, what, event, version, entry, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (source, what, event) DO UPDATE SET version = excluded.version, entry = excluded.entry, text = excluded.text",
    )?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM value WHERE source = ?1 AND what = ?2 AND event = ?3")?;
    let mut document = transaction.prepare_cached(
        "INSERT INTO document (source, what, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (source, what) DO UPDATE SET body = excluded.body",
    )?;
    let mut no_document =
        transaction.prepare_cached("DELETE FROM document WHERE source = ?1 AND what = ?2")?;
    for (key, value) in changes.values.iter().filter(|(key, _)| which(key)) {
        let event = event_text(key);
        match value.as_deref() {
            None => {
                if key.what.is_document() {
                    no_document.execute(params![key.source_no, key.what.number()])?;
                }
                delete.execute(params![key.source_no, key.what.number(), event])?
            }
            Some(value) => {
                let (entry, text) = match &value.held {
                    ValueContent::Alarm(no, _) => (Some(*no), None),
                    ValueContent::Text(text) if key.what.is_document() => {
                        document.execute(params![key.source_no, key.what.number(), text])?;
                        (None, None)
                    }
                    ValueContent::Text(text) => (None, Some(text)),
                };
                put.execute(params![key.source_no, key.what.number(), event, value.version, entry, text])?
            }
        };
    }
    Ok(())
}

/// Writes the small texts stored by name.
pub(super) fn write_notes(transaction: &Transaction<'_>, changes: &StateChanges) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO note (key, text) VALUES (?1, ?2)")?;
    for (key, text) in &changes.notes {
        put.execute([key, text])?;
    }
    Ok(())
}

fn write_activity(
    transaction: &Transaction<'_>,
    key: &ActivityKey,
    ongoing: Option<&Ongoing>,
) -> rusqlite::Result<usize> {
    let Some(ongoing) = ongoing else {
        let mut delete =
            transaction.prepare_cached("DELETE FROM activity WHERE source = ?1 AND event = ?2")?;
        return delete.execute([key.source.as_str(), key.event.as_str()]);
    };
    let mut put = transaction.prepare_cached(
        "INSERT INTO activity (source, event, id, started, last, hold, alarms, count_max, count, best)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (source, event) DO UPDATE SET id = excluded.id, started = excluded.started,
         last = excluded.last, hold = excluded.hold, alarms = excluded.alarms, count_max = excluded.count_max,
         count = excluded.count, best = excluded.best",
    )?;
    put.execute(params![
        key.source.as_str(),
        key.event.as_str(),
        ongoing.activity_id.as_bytes(),
        nanoseconds(ongoing.started),
        nanoseconds(ongoing.last),
        signed(ongoing.hold_ms),
        signed(ongoing.alarms),
        ongoing.count_max,
        ongoing.count,
        ongoing.best.as_ref().and_then(|best| serde_json::to_string(best).ok()),
    ])
}

/// A moment in nanoseconds, so that what is published of it is the same after a restart.
fn nanoseconds(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_nanosecond()).unwrap_or(i64::MAX)
}

fn write_devices(transaction: &Transaction<'_>, changes: &StateChanges) -> rusqlite::Result<()> {
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO device (no, source, body) VALUES (?1, ?2, ?3)")?;
    for (no, device) in &changes.devices {
        let Some(device) = device else {
            for table in ["device WHERE no", "heard WHERE no", "value WHERE source", "document WHERE source"]
            {
                transaction.execute(&format!("DELETE FROM {table} = ?1"), [no])?;
            }
            continue;
        };
        let body = serde_json::to_string(device).unwrap_or_default();
        put.execute(params![no, device.source.as_str(), body])?;
        write_counters(transaction, *no, device.into())?;
    }
    Ok(())
}

fn write_counters(transaction: &Transaction<'_>, no: i64, counters: Counters) -> rusqlite::Result<usize> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO heard (no, seq, alarms, last_heard) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (no) DO UPDATE SET seq = excluded.seq, alarms = excluded.alarms, last_heard = excluded.last_heard",
    )?;
    put.execute(params![no, signed(counters.seq), signed(counters.alarms), counters.last_heard_ms])
}

fn write_delivery(transaction: &Transaction<'_>, changes: &DeliveryChanges) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO sink (name, log_low, log_ahead, value_low, token, delivered, dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (name, position) in &changes.positions {
        let Some(position) = position else {
            transaction.execute("DELETE FROM sink WHERE name = ?1", [name])?;
            transaction.execute("DELETE FROM parked WHERE sink = ?1", [name])?;
            continue;
        };
        let ahead = serde_json::to_string(&position.ahead).unwrap_or_default();
        let (delivered, dropped) = (signed(position.delivered), signed(position.dropped));
        put.execute(params![
            name,
            position.log_low,
            ahead,
            position.value_low,
            position.token,
            delivered,
            dropped
        ])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO retained (sink, topic, source, what, event) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut delete = transaction.prepare_cached("DELETE FROM retained WHERE sink = ?1 AND topic = ?2")?;
    for ((sink, topic), key) in &changes.retained {
        match key {
            None => delete.execute([sink, topic])?,
            Some(key) => {
                put.execute(params![sink, topic, key.source_no, key.what.number(), event_text(key)])?
            }
        };
    }
    write_parked(transaction, changes)
}

fn write_parked(transaction: &Transaction<'_>, changes: &DeliveryChanges) -> rusqlite::Result<()> {
    for change in &changes.parked {
        match change {
            ParkedChange::Add { sink, entry, topic, code, reason, at } => transaction.execute(
                "INSERT INTO parked (sink, entry, topic, code, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![sink, entry, topic, code, reason, at.as_millisecond()],
            )?,
            ParkedChange::Remove(no) => transaction.execute("DELETE FROM parked WHERE no = ?1", [no])?,
        };
    }
    Ok(())
}

fn write_requests(transaction: &Transaction<'_>, changes: &LogChanges) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO request (id, at, peer, status, bytes, verdict, alarms, head, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let beyond = changes.requests.len().saturating_sub(REQUESTS);
    for request in changes.requests.iter().skip(beyond) {
        let alarms = serde_json::to_string(&request.alarms).unwrap_or_default();
        insert.execute(params![
            request.id.as_bytes(),
            request.at.as_millisecond(),
            request.peer,
            request.status,
            signed((request.body.len() + request.head.len()) as u64),
            request.verdict,
            alarms,
            request.head,
            request.body.as_ref(),
        ])?;
    }
    Ok(())
}
