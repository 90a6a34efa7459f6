//! Messages that a sink has not taken: its backlog, and parked messages.

pub mod backlog;
pub mod parked;
