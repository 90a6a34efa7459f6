//! The sections, one file each: keys, defaults, checks of values.

pub mod activity;
pub mod address;
pub mod devices;
pub mod homeassistant;
pub mod ingest;
pub mod limits;
pub(super) mod log;
pub mod notify;
pub(super) mod requests;
pub mod scalar;
pub mod sinks;
pub mod storage;
pub mod topics;
