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
//! The way of an alarm step by step, what happens when things go wrong, what is on disk and what always holds:
//! `docs/architecture.md`. Where a change goes: `docs/extending.md`.

pub mod activity;
pub mod app;
pub mod cli;
pub mod config;
pub mod findings;
pub mod homeassistant;
pub mod http;
pub mod log;
pub mod metrics;
pub mod model;
pub mod outbox;
pub mod relay;
pub mod render;
pub mod simulate;
pub mod sink;
pub mod vendor;
pub mod web;
