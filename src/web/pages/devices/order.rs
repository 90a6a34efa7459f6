//! Query of the Devices page: search words, sort column, page.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::row::{Faults, health};
use crate::model::Source;
use crate::outbox::history::DeviceState;
use crate::web::texts::{key, tr};

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web::pages) struct DevicesPageQuery {
    /// Words that must occur in its name, addresses or kinds.
    q: Option<String>,
    /// Name of the column to sort by.
    sort: Option<String>,
    /// `up` or `down`.
    dir: Option<String>,
    /// Page number, counted from 1.
    page: Option<u32>,
}

/// Column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The name.
    Name,
    /// States that are on.
    State,
    /// The latest alarm.
    Last,
    /// Alarms since midnight.
    Today,
    /// Problems.
    Health,
}

/// All columns, with their names in the query and titles on the page.
const COLUMNS: [(By, &str, &str); 5] = [
    (By::Name, "name", key("Device")),
    (By::State, "state", key("State")),
    (By::Last, "last", key("Last alarm")),
    (By::Today, "today", key("Today")),
    (By::Health, "health", key("Health")),
];

/// Head of a column: title, link that sorts by it, and current sort direction.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) word: &'static str,
    pub(super) title: &'static str,
    pub(super) link: String,
    /// Value of `aria-sort`; empty if the table is sorted by another column.
    pub(super) sorted: &'static str,
    pub(super) number: bool,
}

/// Search words, sort order and page.
#[derive(Debug, Clone)]
pub(super) struct DeviceOrder {
    pub(super) words: String,
    by: By,
    /// Set if sorted against the default direction of the column.
    turned: bool,
    /// Page, counted from 0.
    pub(super) page: usize,
}

impl From<DevicesPageQuery> for DeviceOrder {
    fn from(asked: DevicesPageQuery) -> Self {
        let sort = asked.sort.unwrap_or_default();
        let by = COLUMNS.iter().find(|(_, word, _)| *word == sort).map_or(By::Name, |(by, ..)| *by);
        let down = asked.dir.as_deref().map(|dir| dir == "down");
        Self {
            words: asked.q.unwrap_or_default().trim().to_owned(),
            by,
            turned: down.is_some_and(|down| down != by.starts_down()),
            page: usize::try_from(asked.page.unwrap_or(1).saturating_sub(1)).unwrap_or(usize::MAX),
        }
    }
}

impl By {
    /// Returns whether the default order is descending, as for numbers.
    fn starts_down(self) -> bool {
        self != Self::Name
    }

    fn word(self) -> &'static str {
        COLUMNS.iter().find(|(by, ..)| *by == self).map_or("name", |(_, word, _)| word)
    }
}

impl DeviceOrder {
    /// Returns whether all words occur in the properties of a device.
    pub(super) fn matches(&self, state: &DeviceState, names: &HashMap<Source, String>) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let device = &state.device;
        let name = |source: &Source| names.get(source).map(String::as_str).unwrap_or_default();
        let mut text = format!(
            "{} {} {} {} {} {}",
            name(&device.source),
            device.source,
            device.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            device.ip.as_deref().unwrap_or_default(),
            device.reported_name.as_deref().unwrap_or_default(),
            device.parent.as_ref().map(name).unwrap_or_default(),
        );
        for kind in &device.kinds {
            text.push(' ');
            text.push_str(&kind.event.title());
        }
        let text = text.to_lowercase();
        self.words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// Sorts devices; equal ones by name.
    pub(super) fn sort(
        &self,
        states: &mut [DeviceState],
        names: &HashMap<Source, String>,
        today: &HashMap<Source, u64>,
        faults: &Faults,
    ) {
        let name = |state: &DeviceState| {
            names.get(&state.device.source).map(|name| name.to_lowercase()).unwrap_or_default()
        };
        states.sort_by_cached_key(|state| (name(state), state.device.source.clone()));
        let key = |state: &DeviceState| -> i64 {
            match self.by {
                By::Name => 0,
                By::State => i64::try_from(state.ongoing.len()).unwrap_or(i64::MAX),
                By::Last => state.device.last_heard_ms,
                By::Today => today
                    .get(&state.device.source)
                    .map_or(0, |count| i64::try_from(*count).unwrap_or(i64::MAX)),
                By::Health => i64::from(health(state, faults).0),
            }
        };
        if self.by == By::Name {
            if self.turned {
                states.reverse();
            }
        } else if self.turned {
            states.sort_by_key(key);
        } else {
            states.sort_by_key(|state| Reverse(key(state)));
        }
    }

    /// Heads of the table.
    pub(super) fn columns(&self) -> Vec<Column> {
        let column = |(by, word, title): &(By, &'static str, &'static str)| {
            let own = *by == self.by;
            let down = by.starts_down() != self.turned;
            Column {
                word,
                title: tr(title),
                link: Self { by: *by, turned: own && !self.turned, page: 0, ..self.clone() }.link(),
                sorted: match (own, down) {
                    (false, _) => "",
                    (true, true) => "descending",
                    (true, false) => "ascending",
                },
                number: *by == By::Today,
            }
        };
        COLUMNS.iter().map(column).collect()
    }

    /// Restricts the page to those that a number of devices has.
    pub(super) fn within(self, devices: usize, page_size: usize) -> Self {
        Self { page: self.page.min(devices.saturating_sub(1) / page_size), ..self }
    }

    /// Link to a page, counted from 0.
    pub(super) fn at(&self, page: usize) -> String {
        Self { page, ..self.clone() }.link()
    }

    fn link(&self) -> String {
        let mut query = Serializer::new(String::new());
        if !self.words.is_empty() {
            query.append_pair("q", &self.words);
        }
        query.append_pair("sort", self.by.word());
        query.append_pair("dir", if self.by.starts_down() != self.turned { "down" } else { "up" });
        if 0 < self.page {
            query.append_pair("page", &(self.page + 1).to_string());
        }
        format!("/devices?{}", query.finish())
    }

    /// Returns whether the table is sorted by the column of this name.
    pub(super) fn sorts(&self, word: &str) -> bool {
        self.by.word() == word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(query: &str) -> DeviceOrder {
        let uri = format!("/devices?{query}").parse().unwrap();
        let axum::extract::Query(asked) =
            axum::extract::Query::<DevicesPageQuery>::try_from_uri(&uri).unwrap();
        asked.into()
    }

    #[test]
    fn a_head_turns_its_own_order_and_begins_with_the_largest_of_another() {
        let columns = order("q=a+b&sort=today").columns();
        let links: Vec<&str> = columns.iter().map(|column| column.link.as_str()).collect();
        assert_eq!(links[0], "/devices?q=a+b&sort=name&dir=up");
        assert_eq!((links[2], columns[2].sorted), ("/devices?q=a+b&sort=last&dir=down", ""));
        assert_eq!((links[3], columns[3].sorted), ("/devices?q=a+b&sort=today&dir=up", "descending"));
    }

    #[test]
    fn an_unknown_column_is_the_first_and_pages_count_from_one() {
        let order = order("sort=%3Cb%3E&page=0");
        assert_eq!(
            (order.by, order.page, order.at(1)),
            (By::Name, 0, "/devices?sort=name&dir=up&page=2".into())
        );
    }
}
