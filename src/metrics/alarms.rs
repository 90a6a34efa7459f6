//! Alarms by source and event. The number of pairs is bounded, because devices choose both.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::model::{EventName, Source};

/// Maximum number of pairs; alarms of further pairs are counted as `other`.
const PAIRS: usize = 2_000;

/// Labels of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    source: String,
    event: String,
}

/// Counts alarms; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AlarmCounts {
    family: Family<Labels, Counter>,
    known: Arc<Mutex<Known>>,
}

/// Index of counters that avoids building labels for every alarm.
#[derive(Debug, Default)]
struct Known {
    sources: HashMap<Source, HashMap<EventName, Counter>>,
    pairs: usize,
}

impl AlarmCounts {
    /// Counts an alarm.
    pub fn count(&self, source: &Source, event: &EventName) {
        let mut known = self.known.lock();
        if let Some(counter) = known.sources.get(source).and_then(|events| events.get(event)) {
            counter.inc();
            return;
        }
        if PAIRS <= known.pairs {
            drop(known);
            self.family.get_or_create(&Labels { source: "other".into(), event: "other".into() }).inc();
            return;
        }
        let counter =
            self.family.get_or_create_owned(&Labels { source: source.to_string(), event: event.to_string() });
        counter.inc();
        known.sources.entry(source.clone()).or_default().insert(event.clone(), counter);
        known.pairs += 1;
    }

    /// Counters for the registry.
    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{AlarmCounts, PAIRS};
    use crate::model::{EventName, Source};

    #[test]
    fn there_is_a_bound_on_labels() {
        let counts = AlarmCounts::default();
        let source = Source::of_id("door").unwrap_or_else(Source::unlisted);
        for number in 0..PAIRS * 2 {
            counts.count(&source, &EventName::new(&format!("kind_{number}")));
            counts.count(&source, &EventName::new("kind_1"));
        }
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register("alarms", "Alarms", counts.family());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("alarms_total{")).count(), PAIRS + 1);
        assert!(text.contains(&format!("{{source=\"other\",event=\"other\"}} {PAIRS}\n")));
    }
}
