//! alarmbus: camera alarms in, MQTT and NATS out, none lost.
//!
//! ```text
//!  TCP/TLS ─ http ─ vendor::decode ─ model::Alarm ─ outbox writer (activity; one commit) ─ 200 OK
//!                                                        │ log lane: events, activities    │ value lane: retained topics
//!                                                        └────────── relay, one per sink ──┴─ render ─ sink: mqtt | nats | stdout
//! ```
//!
//! # Where things are
//!
//! | room | what it is |
//! |---|---|
//! | [`http`] | listeners, connections, bodies, webhooks: every byte a peer can send ends in an answer, a finding, or both |
//! | [`vendor`] | from bytes to [`model::Alarm`]: the only place where wire formats are known; pure |
//! | [`model`] | what an alarm is, once no wire format is left in it; pure |
//! | [`activity`] | puts repeats together: start, update, end, ON and OFF; pure |
//! | [`outbox`] | the log, the current values, the books; one writer, everything on disk before a camera is answered |
//! | [`relay`] | one per sink: what it has not got yet, in order per source, until it is acknowledged |
//! | [`render`], [`homeassistant`] | from records to topics and payloads; the only places where topics are known; pure |
//! | [`sink`] | MQTT, NATS, standard output, the embedded broker |
//! | [`findings`] | what was seen on the way of an alarm, the cause, the remedy: for log, page and doctor alike |
//! | [`config`], [`cli`] | what can be set, what can be typed |
//! | [`app`] | the composition root: starts, supervises, reloads, drains |
//! | [`simulate`] | acts as a real device |
//!
//! # What always holds
//!
//! - The answer 200 comes after the commit; only the broker's acknowledgement ends our care.
//! - The writer thread is the only one that changes the store. Everything it changes in one commit is plain data
//!   (`outbox::effects`) before it is written, so that a disk that refuses can be tried again with the same data.
//! - Of each source the log is sent in order, and a position never passes an entry that is not acknowledged.
//! - Of each value only the newest version is sent; what was sent can be told from versions, so nothing runs backward.
//! - What is on its way when a session ends counts as unsent.
//! - Decoding, activity and rendering are pure: no I/O, no clock of their own.
//! - Nothing from the wire becomes a topic level but through [`model::slug`].
//!
//! # The way of an alarm
//!
//! A camera connects; `http::listener` counts the connection, `http::visit` finds the webhook in constant time, and
//! a task that the connection cannot cancel reads the body under its bound, has [`vendor::decode`] make alarms of it,
//! and calls [`outbox::Outbox::append`]. Pictures are written as files first. The writer takes every submission that
//! waits, has the ledger find or make the device, resolve the time, ask [`activity`] where the alarm stands, and put
//! down the entry and the values it changes; one transaction commits all of it; then each camera gets its 200. Relays
//! wait for the tip to move; each takes the new entries and values from memory, renders and sends them, and tells the
//! writer now and then how far it is.
//!
//! # The broker is down for a day
//!
//! The relay's session ends; it connects again with growing pauses. Entries stay in the log; nothing of them is in
//! memory. When the broker is back, the session begins with every small current value and `online`, then goes in
//! rounds: values that change meanwhile first, then source by source its picture and 64 entries of its log, marked
//! `replayed`. If the broker lost its retained messages (it no longer has our token), pictures follow last.
//!
//! # A camera is renamed
//!
//! The device's row changes, and with it its announcement: a new version of the discovery value, sent at once. The
//! identity is the source, never the name, so entities and topics stay. Where a topic template has `{name}` in it,
//! values go to the new topic, and the old one is found in the list of retained topics and emptied.

pub mod activity;
pub mod app;
pub mod cli;
pub mod config;
pub mod findings;
pub mod homeassistant;
pub mod http;
pub mod log;
pub mod model;
pub mod outbox;
pub mod relay;
pub mod render;
pub mod simulate;
pub mod sink;
pub mod vendor;
pub mod web;
