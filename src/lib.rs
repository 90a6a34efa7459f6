//! alarmbus: camera alarms in, MQTT and NATS out, none lost.
//!
//! ```text
//!  TCP/TLS ─ http ─ decode::decode ─ model::Alarm ─ outbox writer (activity; one commit) ─ 200 OK
//!                                                        │ log lane: events, activities    │ value lane: retained topics
//!                                                        └────────── relay, one per sink ──┴─ render ─ sink: mqtt | nats | notify | stdout
//! ```
//!
//! # Where things are
//!
//! | room | what it is |
//! |---|---|
//! | [`http`] | listeners, connections, bodies, webhooks: every byte a peer sends ends in a response, a finding, or
//! both |
//! | [`decode`] | from bytes to [`model::Alarm`]: the only module that knows wire formats; pure |
//! | [`model`] | alarms, devices and events, independent of any wire format; pure |
//! | [`activity`] | groups repeated alarms: start, update, end, ON and OFF; pure |
//! | [`outbox`] | log, current values and ledger state; one writer; everything is on disk before a camera is answered |
//! | [`relay`] | one per sink: sends what is unacknowledged, in order per source |
//! | [`render`], [`homeassistant`] | from records to topics and payloads; the only modules that know topics; pure |
//! | [`sink`] | MQTT, NATS, standard output, the embedded broker |
//! | [`findings`] | observed problems with cause and remedy, for log, page and doctor |
//! | [`web`] | the admin listener: login, API, pages |
//! | [`tls`] | certificate and key files, the TLS client, and TLS errors as sentences with a remedy |
//! | [`config`], [`cli`], [`terminal`] | settings; commands; exit codes and output on the terminal |
//! | [`app`] | the composition root: starts, supervises, reloads, drains |
//! | [`simulate`] | simulates a real device |
//! | [`host`] | wall clock and random numbers, which a simulation replaces |
//!
//! Steps of an alarm, failure handling, files on disk and invariants: `docs/architecture.md`. Places to change:
//! `docs/extending.md`.

pub mod activity;
pub mod app;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod decode;
pub mod findings;
pub mod homeassistant;
pub mod host;
pub mod http;
pub mod log;
pub mod metrics;
pub mod model;
pub mod outbox;
pub mod relay;
pub mod render;
pub mod simulate;
pub mod sink;
pub mod terminal;
pub mod tls;
pub mod web;
