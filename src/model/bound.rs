//! placeholder until the payload's author brings it.
use super::AlarmRecord;
/// Bounds.
pub fn bound(_record: &mut AlarmRecord) {}
