//! The state that follows from the log: devices, activities in progress, and current values.

pub(crate) mod changes;
pub(crate) mod checkpoint;
pub mod device;
pub mod habit;
pub(crate) mod heard;
pub(crate) mod ledger;
pub(crate) mod shown;
pub(crate) mod value;
