//! Delivery: position of each sink in the log, parked messages, replay and rewind.

pub(crate) mod changes;
pub mod parking;
pub(crate) mod position;
mod replay;
pub(crate) mod rewind;
pub(crate) mod sinks;
