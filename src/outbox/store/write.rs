//! What one commit changes, as rows.
//!
//! What is written with every alarm is an upsert and not a REPLACE, for which SQLite first copies each page it may
//! have to restore.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{event_text, signed};
use crate::activity::{Key, Ongoing};
use crate::model::EventName;
use crate::outbox::effects::{Effects, Heard, Held, ParkedChange, ValueKey};
use crate::outbox::retention::REQUESTS;

/// Writes what one commit changes, one set after the other; all of it or nothing.
pub(crate) fn write(connection: &mut Connection, sets: &[&Effects]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for effects in sets {
        write_now(&transaction, effects)?;
        write_waiting(&transaction, effects)?;
    }
    transaction.commit()
}

/// Writes what one commit changes but for what follows from the log and may wait.
pub(crate) fn write_without_waiting(connection: &mut Connection, effects: &Effects) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write_now(&transaction, effects)?;
    transaction.commit()
}

fn write_now(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    write_log(transaction, effects)?;
    write_values(transaction, effects, |key| !effects.may_wait(key))?;
    write_devices(transaction, effects)?;
    for (key, ongoing) in &effects.activities {
        write_activity(transaction, key, ongoing.as_ref())?;
    }
    write_notes(transaction, effects)?;
    write_sinks(transaction, effects)?;
    write_parked(transaction, effects)?;
    write_requests(transaction, effects)
}

fn write_waiting(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    write_values(transaction, effects, |key| effects.may_wait(key))?;
    for (no, heard) in &effects.heard {
        hear(transaction, *no, *heard)?;
    }
    for (key, ongoing) in &effects.repeats {
        write_activity(transaction, key, Some(ongoing))?;
    }
    Ok(())
}

fn write_log(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO entry (no, source, id, at, picture, event, again, run, mono, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (no) DO NOTHING",
    )?;
    for entry in &effects.entries {
        let id = entry.record.id();
        let picture = entry.picture();
        insert.execute(params![
            entry.no,
            entry.source_no,
            id.as_bytes(),
            entry.record.at().as_millisecond(),
            picture.as_ref().map(|id| id.as_bytes()),
            entry.event().map(EventName::as_str),
            entry.again,
            entry.run,
            entry.mono_ms,
            entry.body,
        ])?;
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO picture (id, at, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
    )?;
    for picture in &effects.pictures {
        insert.execute(params![picture.id.as_bytes(), picture.at.as_millisecond(), signed(picture.bytes)])?;
    }
    Ok(())
}

fn write_values(
    transaction: &Transaction<'_>,
    effects: &Effects,
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
    for (key, value) in effects.values.iter().filter(|(key, _)| which(key)) {
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
                    Held::Alarm(no, _) => (Some(*no), None),
                    Held::Text(text) if key.what.is_document() => {
                        document.execute(params![key.source_no, key.what.number(), text])?;
                        (None, None)
                    }
                    Held::Text(text) => (None, Some(text)),
                };
                put.execute(params![key.source_no, key.what.number(), event, value.version, entry, text])?
            }
        };
    }
    Ok(())
}

fn write_notes(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO note (key, text) VALUES (?1, ?2)")?;
    for (key, text) in &effects.notes {
        put.execute([key, text])?;
    }
    Ok(())
}

fn write_activity(
    transaction: &Transaction<'_>,
    key: &Key,
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

/// A moment to the last digit, so that what is published of it is the same after a restart.
fn nanoseconds(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_nanosecond()).unwrap_or(i64::MAX)
}

fn write_devices(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut put =
        transaction.prepare_cached("INSERT OR REPLACE INTO device (no, source, body) VALUES (?1, ?2, ?3)")?;
    for (no, device) in &effects.devices {
        let Some(device) = device else {
            for table in ["device WHERE no", "heard WHERE no", "value WHERE source", "document WHERE source"]
            {
                transaction.execute(&format!("DELETE FROM {table} = ?1"), [no])?;
            }
            continue;
        };
        let body = serde_json::to_string(device).unwrap_or_default();
        put.execute(params![no, device.source.as_str(), body])?;
        hear(transaction, *no, device.into())?;
    }
    Ok(())
}

fn hear(transaction: &Transaction<'_>, no: i64, heard: Heard) -> rusqlite::Result<usize> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO heard (no, seq, alarms, last_heard) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (no) DO UPDATE SET seq = excluded.seq, alarms = excluded.alarms, last_heard = excluded.last_heard",
    )?;
    put.execute(params![no, signed(heard.seq), signed(heard.alarms), heard.last_heard_ms])
}

fn write_sinks(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO sink (name, log_low, log_ahead, value_low, token, delivered, dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (name, position) in &effects.sinks {
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
    for ((sink, topic), key) in &effects.retained {
        match key {
            None => delete.execute([sink, topic])?,
            Some(key) => {
                put.execute(params![sink, topic, key.source_no, key.what.number(), event_text(key)])?
            }
        };
    }
    Ok(())
}

fn write_parked(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    for change in &effects.parked {
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

fn write_requests(transaction: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO request (id, at, peer, status, bytes, verdict, alarms, head, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let beyond = effects.requests.len().saturating_sub(REQUESTS);
    for request in effects.requests.iter().skip(beyond) {
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
