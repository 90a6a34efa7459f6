//! alarmbus: camera alarms in, MQTT and NATS out, none lost.
//!
//! ```text
//!  TCP/TLS ─ http ─ vendor::decode ─ model::Alarm ─ outbox writer (activity; one commit) ─ 200 OK
//!                                                        │ log lane: events, activities    │ value lane: retained topics
//!                                                        └────────── relay, one per sink ──┴─ render ─ sink: mqtt | nats | stdout
//! ```

pub mod activity;
pub mod config;
pub mod findings;
pub mod homeassistant;
pub mod http;
pub mod model;
pub mod outbox;
pub mod render;
pub mod sink;
pub mod vendor;
