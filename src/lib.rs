//! alarmbus: camera alarms in, MQTT and NATS out, none lost.
//!
//! ```text
//!  TCP/TLS ─ http ─ vendor::decode ─ model::Alarm ─ outbox writer (activity; one commit) ─ 200 OK
//!                                                        │ log lane: events, activities    │ value lane: retained topics
//!                                                        └────────── relay, one per sink ──┴─ render ─ sink: mqtt | nats | stdout
//! ```

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
