//! Makers whose format is data: a mapping file names the place of each value.

use std::sync::Arc;

use serde_json::Value;

use super::alarms::{Alarms, blank_alarm};
use super::fields::{cut, items, number, text};
use super::names::Named;
use crate::config::ingest::Pointers;
use crate::config::mapping::file::{Mapping, Reply, Shape};
use crate::config::mapping::{BUILT_IN, NO_ALARM};
use crate::decode::maker::{VENDORS, Vendor};
use crate::decode::report::{Document, Report};
use crate::decode::{Answer, Sign};
use crate::model::{Alarm, EventName, ReportedState as State, SameEvent};

mod boxes;
mod details;
pub mod explain;
mod find;
mod identity;
mod kind;
mod members;
mod notes;
mod pictures;
mod rest;
pub(crate) mod time;

use super::words::same;
use find::{all, find, locate};
use kind::EntryKind;

/// Maximum number of entries read from one list; the limit on alarms of a report applies to those that are made.
const MAX_ENTRIES: usize = 4_096;

/// The built-in mapping that recognises a document.
pub(crate) fn recognised(document: &Value, form: bool, headers: &Value) -> Option<&'static Mapping> {
    BUILT_IN.iter().find(|mapping| mapping.recognises(document, form, headers))
}

/// Returns whether one of these mappings, or a built-in one, recognises a document.
pub(crate) fn known(own: &[Arc<Mapping>], document: &Value, form: bool, headers: &Value) -> bool {
    own.iter().any(|mapping| mapping.recognises(document, form, headers))
        || recognised(document, form, headers).is_some()
}

impl Report {
    /// Returns whether a maker, built in or of the webhook, recognises a document.
    pub(crate) fn knows(&self, document: &Value, form: bool) -> bool {
        known(&self.mappings, document, form, &self.headers)
    }

    /// Returns whether a document has a reader: a maker, or pointers of the webhook.
    pub(crate) fn reads(&self, document: &Document) -> bool {
        let has_code =
            |vendor: &&dyn Vendor| vendor.name() != "generic" && vendor.recognises(&document.value);
        self.pointers != Pointers::default()
            || VENDORS.iter().any(has_code)
            || self.knows(&document.value, document.form)
    }
}

/// One alarm of a document: its own object, the object that all alarms of the document share, and the headers of the
/// request as `@headers`.
#[derive(Clone, Copy)]
struct Entry<'v> {
    own: &'v Value,
    root: &'v Value,
    headers: &'v Value,
}

impl<'v> Entry<'v> {
    /// Objects in which values are looked up, in this order.
    fn places(self) -> [&'v Value; 3] {
        [self.own, self.root, self.headers]
    }

    /// Values at these pointers, those of the entry first.
    fn values<'p>(self, pointers: &'p [String]) -> impl Iterator<Item = &'v Value> + use<'v, 'p> {
        self.places().into_iter().flat_map(move |place| pointers.iter().filter_map(move |at| find(place, at)))
    }

    /// Value at the first of these pointers that exists, in the entry first.
    fn at(self, pointers: &[String]) -> Option<&'v Value> {
        self.values(pointers).next()
    }

    /// All values at the first of these pointers that leads to any, through all items of lists.
    fn all(self, pointers: &[String]) -> Vec<&'v Value> {
        let found = self.places().into_iter().flat_map(|place| pointers.iter().map(move |at| all(place, at)));
        found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// Text at the first of these pointers that leads to one.
    fn text(self, pointers: &[String]) -> Option<String> {
        self.values(pointers).find_map(text)
    }

    /// Returns whether a pointer leads to a value.
    fn has(self, pointer: &str) -> bool {
        self.places().into_iter().any(|place| find(place, pointer).is_some())
    }

    /// Returns whether the value at a pointer is one of these words.
    fn is(self, pointer: &str, words: &[String]) -> bool {
        let found = self.places().into_iter().find_map(|place| find(place, pointer)).and_then(text);
        found.is_some_and(|found| words.iter().any(|word| same(word, &found)))
    }
}

impl Mapping {
    /// Returns whether a document matches a shape of this maker.
    pub(crate) fn recognises(&self, document: &Value, form: bool, headers: &Value) -> bool {
        let entry = Entry { own: document, root: document, headers };
        let fits = |shape: &Shape| {
            shape.form == form
                && shape.has.iter().all(|pointer| entry.has(pointer))
                && (shape.any.is_empty() || shape.any.iter().any(|pointer| entry.has(pointer)))
                && shape.is.iter().all(|(pointer, words)| entry.is(pointer, words.all()))
                && shape.first_word.as_ref().is_none_or(|words| entry.is("/@words/0", words.all()))
        };
        if self.recognise.is_empty() {
            self.has_kind(document, headers)
        } else {
            self.recognise.iter().any(fits)
        }
    }

    /// Returns whether the first alarm of a document has a kind, or the mapping names no place for one.
    fn has_kind(&self, document: &Value, headers: &Value) -> bool {
        let (own, root) = self.first(document);
        let entry = Entry { own, root, headers };
        self.kind.is_empty() || self.kind.iter().any(|pointer| entry.has(pointer))
    }

    /// Returns whether an object says what happened though its list of alarms is empty.
    fn has_own_kind(&self, root: &Value) -> bool {
        self.kind.iter().any(|pointer| find(root, pointer).and_then(text).is_some())
    }

    /// The object of the first alarm of a document, and the object that all of its alarms share.
    fn first<'v>(&self, document: &'v Value) -> (&'v Value, &'v Value) {
        let at = |value: &'v Value, pointers: &[String]| {
            pointers.iter().find_map(|pointer| locate(value, pointer)).and_then(|path| value.pointer(&path))
        };
        let root = at(document, &self.root).unwrap_or(document);
        (at(root, &self.alarms).and_then(|list| items(list).first()).unwrap_or(root), root)
    }

    /// Adds the alarms and signs of life of a document, and moves its pictures to the report.
    pub(crate) fn decode(&self, mut document: Value, report: &mut Report, alarms: &mut Alarms) {
        self.scrub(&mut document);
        let path = self.root.iter().find_map(|pointer| locate(&document, pointer)).unwrap_or_default();
        let mut root = document.pointer_mut(&path).map(Value::take).unwrap_or_default();
        let list = self.alarms.iter().find_map(|pointer| locate(&root, pointer));
        self.cut_blob(&root, report);
        let shown = self.pictures_of(&mut root, list.as_deref(), report);
        let members = self.members_of(&root);
        let root = root;
        let entries: Vec<&Value> = match list.as_deref().and_then(|path| root.pointer(path)) {
            _ if !members.is_empty() => members.iter().collect(),
            Some(list) if !items(list).is_empty() || !self.has_own_kind(&root) => {
                items(list).iter().take(MAX_ENTRIES).collect()
            }
            _ => vec![&root],
        };
        let headers = report.headers.clone();
        for (index, own) in entries.into_iter().enumerate() {
            let picture = shown.of(index).or_else(|| self.best_part(report));
            self.entry(Entry { own, root: &root, headers: &headers }, picture, report, alarms);
        }
    }

    /// Adds the alarm or the sign of life of one entry.
    fn entry(&self, entry: Entry<'_>, picture: Option<usize>, report: &mut Report, alarms: &mut Alarms) {
        alarms.entry();
        for kind in self.kinds_of(entry) {
            self.one(entry, &kind, picture, report, alarms);
        }
    }

    /// Adds the alarm or the sign of one kind of an entry.
    fn one(
        &self,
        entry: Entry<'_>,
        kind: &EntryKind,
        picture: Option<usize>,
        report: &mut Report,
        alarms: &mut Alarms,
    ) {
        let device = self.device_of(entry, &kind.event);
        let fits = |reply: &&Reply| {
            reply.has.iter().all(|has| entry.has(has))
                && reply.when.iter().all(|(pointer, words)| entry.is(pointer, words.all()))
        };
        if let Some(reply) = self.answers.iter().chain(&self.answer).find(fits) {
            let echoed = reply.echo.as_ref().and_then(|echo| entry.text(std::slice::from_ref(echo)));
            report.answer.get_or_insert_with(|| Answer::new(reply, echoed.as_deref()));
        }
        if NO_ALARM.contains(&kind.event.as_str()) {
            return report.sign(Sign { device, test: kind.event == "test" });
        }
        self.note(entry, kind, &device, report);
        let named = Named { event: EventName::new(&kind.event), raw: cut(&kind.raw) };
        let state = self.state_of(entry, &named.event, kind);
        if state == Some(State::End) && self.is_moment(&named.event) {
            // What is over at once has no end to report.
            return report.sign(Sign { device, test: false });
        }
        let dimensions =
            picture.and_then(|index| report.images.get(index)).and_then(|it| it.picture.dimensions);
        alarms.add(vec![named], || {
            let details = self.details_of(entry, &kind.event, kind.code.as_deref());
            let (extra, truncated) = self.rest_of(entry);
            Alarm {
                time_raw: entry.values(&self.time).find_map(time::time),
                count: entry.at(&self.count).and_then(number),
                regions: self.regions_of(entry),
                boxes: self.object.iter().flat_map(|it| boxes::boxes(it, entry, dimensions)).collect(),
                same: self.same_of(entry, &kind.event),
                picture,
                details,
                state,
                extra,
                truncated,
                ..blank_alarm(device)
            }
        });
    }

    /// The numbers of the regions.
    fn regions_of(&self, entry: Entry<'_>) -> Vec<u32> {
        let mut regions: Vec<u32> =
            entry.all(&self.regions).into_iter().flat_map(items).filter_map(number).collect();
        regions.sort_unstable();
        regions.dedup();
        regions
    }

    /// Key by which alarms of one event are recognised as the same.
    fn same_of(&self, entry: Entry<'_>, event: &str) -> Option<SameEvent> {
        self.same.iter().find_map(|rule| {
            let fits = rule.events.is_empty() || rule.events.iter().any(|slug| slug == event);
            let parts: Vec<String> =
                rule.at.iter().filter_map(|at| entry.text(std::slice::from_ref(at))).collect();
            let key = cut(&parts.join("/"));
            (fits && parts.len() == rule.at.len()).then_some(SameEvent { key, seconds: rule.seconds })
        })
    }

    /// Removes every field that is never kept.
    fn scrub(&self, document: &mut Value) {
        super::secrets::scrub(document, &self.secret);
    }
}

#[cfg(test)]
mod tests;
