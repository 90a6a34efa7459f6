//! Times that devices report: wall clocks and time zones.

pub mod clock;
pub mod zone;
