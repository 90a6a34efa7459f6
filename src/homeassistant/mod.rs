//! Home Assistant discovery: what is announced of a device. Pure; `HOME-ASSISTANT` facts live here.

pub use crate::model::value::{Card, KindSeen};
