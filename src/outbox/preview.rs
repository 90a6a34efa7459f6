//! Preview: the values and entries that a new bridge would make of a report, computed by the same ledger. Nothing is
//! stored.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::effects::Effects;
use super::log::entry::Entry;
use super::state::ledger::Ledger;
use super::state::value::{Value, ValueKey};
use super::{Submission, WriterSettings};
use crate::activity::Now;
use crate::findings::Findings;

/// Values and entries that a report would become.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The values it would change, in the order of sending.
    pub values: Vec<(ValueKey, Arc<Value>)>,
    /// The entries of the log, in order.
    pub entries: Vec<Arc<Entry>>,
}

/// Applies a report to an empty ledger.
#[must_use]
pub fn preview(settings: Arc<WriterSettings>, mut submission: Submission) -> Preview {
    let mut ledger = Ledger::new(settings, Findings::default(), 1);
    let mut effects = Effects::default();
    let kept = |problem: bool| (!problem).then(Uuid::now_v7);
    let stored: Vec<Option<Uuid>> =
        submission.pictures.iter().map(|picture| kept(picture.problem.is_some())).collect();
    let now = Now { mono: Duration::ZERO, wall: submission.received_at };
    ledger.submit(&mut submission, &stored, now, &mut effects);
    let mut values: Vec<(ValueKey, Arc<Value>)> =
        effects.state.values.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    values.sort_by_key(|(_, value)| value.version);
    Preview { values, entries: effects.log.entries }
}
