//! Shared parts of the sections' checks: the list of mistakes, and common checks.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;

use crate::config::Config;
use crate::config::keypath::KeyPath;
use crate::config::mistake::{Mistake, Origin};
use crate::config::sources::tree::Tree;
use crate::model::device::slug::slug;
use crate::model::time::clock::ZoneSetting;

mod ingest;
mod notify;
mod sinks;
pub mod topic_check;

use topic_check::Fixed;

/// Collector of mistakes and warnings.
pub(crate) struct Check<'a> {
    /// The values that were given.
    tree: &'a Tree,
    /// Keys already found wrong. They hold a default now, so nothing is concluded from their value.
    wrong: BTreeSet<KeyPath>,
    /// Mistakes, which prevent a start.
    pub(crate) mistakes: Vec<Mistake>,
    /// Warnings.
    pub(crate) warnings: Vec<Mistake>,
}

impl<'a> Check<'a> {
    /// Creates an empty collector.
    pub(crate) fn new(tree: &'a Tree, wrong: BTreeSet<KeyPath>) -> Self {
        Self { tree, wrong, mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// Adds a mistake.
    pub(crate) fn mistake(&mut self, key: &KeyPath, text: impl Into<String>) {
        let mistake = self.note(key, text.into());
        self.wrong.insert(key.clone());
        self.mistakes.push(mistake);
    }

    /// Adds a mistake of a key given as text.
    pub(crate) fn wrong(&mut self, key: &str, text: impl Into<String>) {
        self.mistake(&KeyPath::parse(key), text);
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, key: &KeyPath, text: impl Into<String>) {
        let warning = self.note(key, text.into());
        self.warnings.push(warning);
    }

    /// A message with its place: that of the key, or of the nearest section above it.
    fn note(&self, key: &KeyPath, text: String) -> Mistake {
        let origin = self.tree.place(key).cloned().unwrap_or_default();
        Mistake { origin, key: key.to_string(), text }
    }

    /// Rank of the source that gives a key, the highest being that of flags; 0: none does.
    pub(crate) fn rank(&self, key: &KeyPath) -> usize {
        self.tree.given(key).map_or(0, |origin| match origin {
            Origin::Default => 0,
            Origin::File { .. } => 1,
            Origin::Variable(_) => 2,
            Origin::Flag(_) => 3,
        })
    }

    /// Returns whether no mistake was found for a key or its file, so that its value can be used.
    pub(crate) fn is_sound(&self, key: &str) -> bool {
        let keys = [KeyPath::parse(key), KeyPath::parse(&format!("{key}_file"))];
        keys.iter().all(|key| !self.wrong.contains(key))
    }

    /// Checks that a number lies within bounds, both included.
    pub(crate) fn within<T: PartialOrd + Display + Copy>(&mut self, key: &str, value: T, least: T, most: T) {
        if value < least || most < value {
            self.wrong(key, format!("{value} is out of bounds: write {least} to {most}"));
        }
    }

    /// Checks that two keys are both set or both unset.
    pub(crate) fn both_or_neither(&mut self, a: (&str, bool), b: (&str, bool)) {
        if a.1 == b.1 || !self.is_sound(a.0) || !self.is_sound(b.0) {
            return;
        }
        let (given, missing) = if a.1 { (a.0, b.0) } else { (b.0, a.0) };
        self.wrong(given, format!("{missing} is missing: give both or neither"));
    }

    /// Checks a time zone.
    pub(crate) fn zone(&mut self, key: &KeyPath, text: &str) {
        if let Err(error) = ZoneSetting::parse(text) {
            self.mistake(key, error.to_string());
        }
    }

    /// Checks a slug.
    pub(crate) fn slug(&mut self, key: &KeyPath, text: &str) {
        let right = slug(text);
        if right.as_deref() != Some(text) {
            let remedy = right.map(|right| format!(", such as {right:?}")).unwrap_or_default();
            let rule = "write lower-case letters, digits and _, at most 64";
            self.mistake(key, format!("{text:?} cannot be part of a topic: {rule}{remedy}"));
        }
    }

    /// Checks that a text is not empty.
    pub(crate) fn filled(&mut self, key: &str, text: Option<&str>) {
        if text.is_some_and(|text| text.trim().is_empty()) {
            self.wrong(key, "this is empty: write a value, or remove the key");
        }
    }
}

impl Config {
    /// Checks everything that types cannot express: each section, then relations between sections.
    pub(crate) fn check(&self, check: &mut Check<'_>) {
        self.check_ingest(check);
        self.admin.check(check);
        self.limits.check(check);
        self.storage.check(check);
        self.snapshots.check(check);
        self.activity.check(check);
        self.mqtt.check(check);
        self.nats.check(check);
        self.cluster.check(self.instance.as_deref(), check);
        self.notify.check(check);
        self.broker.check(check);
        self.homeassistant.check(check);
        let bridge = self.instance.as_ref().map_or("bridge".to_owned(), |name| format!("bridge-{name}"));
        let announced = self.homeassistant.enabled;
        let fixed = Fixed {
            base: &self.mqtt.base_topic,
            bridge: &bridge,
            discovery: announced.then_some(self.homeassistant.discovery_topic.as_str()),
            birth: announced.then_some(self.homeassistant.birth_topic.as_str()),
        };
        self.topics.check(&fixed, check);
        self.log.check(check);
        check.within("shutdown.seconds", self.shutdown.seconds, 1, 600);
        if let Some(instance) = &self.instance {
            check.slug(&KeyPath::parse("instance"), instance);
        }
        self.check_binds(check);
    }

    /// Checks that no two listeners share a port. (The embedded broker looks for a free one by itself.)
    fn check_binds(&self, check: &mut Check<'_>) {
        let mut binds = vec![("http.bind", self.http.bind)];
        binds.extend(self.https.as_ref().map(|https| ("https.bind", https.bind)));
        binds.push(("admin.bind", self.admin.bind));
        for (at, (key, bind)) in binds.iter().enumerate() {
            let other = binds.iter().take(at).find(|(_, other)| overlaps(*bind, *other));
            if let Some((other, _)) = other {
                let text = format!("{bind} is taken by {other}: give each listener a port of its own");
                check.wrong(key, text);
            }
        }
    }
}

/// Returns whether two listeners would use the same port of the same address.
fn overlaps(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (any || a.ip() == b.ip())
}
