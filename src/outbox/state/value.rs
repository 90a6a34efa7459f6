//! Current values of a source or of the bridge.

use std::sync::Arc;

use crate::model::record::AlarmRecord;
use crate::model::value::What;
use crate::model::{EventName, Source};

/// Key of a current value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueKey {
    /// The number of its source; 0 for the bridge itself.
    pub source_no: i64,
    /// Type of the value.
    pub what: What,
    /// Kind of event, for values that exist per kind.
    pub event: Option<EventName>,
}

/// A current value.
#[derive(Debug, Clone)]
pub struct Value {
    /// Version; rises with every change, over all values.
    pub version: i64,
    /// The source; `None`: the bridge itself.
    pub source: Option<Source>,
    /// The content.
    pub held: ValueContent,
}

/// Content of a value.
#[derive(Debug, Clone)]
pub enum ValueContent {
    /// A short text or a JSON document.
    Text(String),
    /// A reference to an alarm in the log.
    Alarm(i64, Arc<AlarmRecord>),
}
