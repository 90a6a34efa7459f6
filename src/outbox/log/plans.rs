//! Query plans: no query of a page or of the API visits every alarm.

use rusqlite::Connection;

use super::history::{AlarmFilter, BOUNDS, statement};
use super::search;
use crate::model::{EventName, Source};
use crate::outbox::store::schema;

/// The query plan of SQLite, a line for each step.
pub(super) fn plan(sql: &str) -> String {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap().unwrap();
    schema::keep_statements(&connection).unwrap();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let numbers = rusqlite::params_from_iter(vec![1; statement.parameter_count()]);
    let steps: Vec<String> =
        statement.query_map(numbers, |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
    steps.join("\n")
}

/// Filters with each combination of source, kind and mark.
fn filters() -> Vec<AlarmFilter> {
    let mut filters = Vec::new();
    for source in [None, Source::from_known("021a2b3c4d5e")] {
        for event in [None, Some(EventName::new("person"))] {
            for reviewed in [None, Some(true), Some(false)] {
                let (source, event) = (source.clone(), event.clone());
                filters.push(AlarmFilter { source, event, reviewed, ..AlarmFilter::default() });
            }
        }
    }
    filters
}

/// Checks that a plan reads the log by an index, or a range of its numbers, only.
#[track_caller]
fn visits_a_range(sql: &str) {
    let plan = plan(sql);
    let scans = |line: &&str| line.contains("SCAN e") && !line.contains("VIRTUAL TABLE");
    assert_eq!(plan.lines().filter(scans).count(), 0, "{sql}\n{plan}");
}

#[test]
fn lists_and_counts_visit_the_range_they_are_asked_for() {
    for filter in filters() {
        visits_a_range(&statement(&filter));
        visits_a_range(&search::count_statement(&filter));
        visits_a_range(&search::indexed_statement(&filter));
        visits_a_range(&search::behind_statement(&filter));
    }
}

#[test]
fn the_bounds_of_the_log_are_looked_up_and_not_searched() {
    let plan = plan(BOUNDS);
    assert_eq!(plan.matches("SEARCH entry").count(), 2, "{plan}");
    assert!(!plan.contains("SCAN entry"), "{plan}");
}
