//! What a report would become in a bridge that has just begun: the same books, and nothing is kept.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::effects::{Effects, Entry, Value, ValueKey};
use super::ledger::Ledger;
use super::{Settings, Submission};
use crate::activity::Now;
use crate::findings::Findings;

/// What a report would become.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The values it would change, in the order they would be sent.
    pub values: Vec<(ValueKey, Arc<Value>)>,
    /// The entries of the log, in order.
    pub entries: Vec<Arc<Entry>>,
}

/// Takes a report into empty books.
#[must_use]
pub fn preview(settings: Arc<Settings>, mut submission: Submission) -> Preview {
    let mut ledger = Ledger::new(settings, Findings::default(), 1);
    let mut effects = Effects::default();
    let kept = |problem: bool| (!problem).then(Uuid::now_v7);
    let stored: Vec<Option<Uuid>> =
        submission.pictures.iter().map(|picture| kept(picture.problem.is_some())).collect();
    let now = Now { mono: Duration::ZERO, wall: submission.received_at };
    ledger.submit(&mut submission, &stored, now, &mut effects);
    let mut values: Vec<(ValueKey, Arc<Value>)> =
        effects.values.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    values.sort_by_key(|(_, value)| value.version);
    Preview { values, entries: effects.entries }
}
