//! Commands that check the configuration and the running bridge.

pub(super) mod bundle;
pub(super) mod check;
pub(super) mod doctor;
pub(super) mod healthcheck;
mod mask;
