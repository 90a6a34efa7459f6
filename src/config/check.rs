//! What the sections' checks share: where mistakes are put down, and the checks that several of them need.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;

use super::keypath::KeyPath;
use super::layer::Layer;
use super::mistake::Mistake;
use super::topic_check::Fixed;
use super::{Config, Origins};
use crate::model::clock::ZoneSetting;
use crate::model::slug::slug;

mod ingest;
mod sinks;

/// Collects what the checks find.
pub(super) struct Check<'a> {
    /// The layers, lowest first.
    layers: &'a [Layer],
    /// Keys already found wrong: they hold a default now, so that nothing follows from their value.
    wrong: BTreeSet<KeyPath>,
    /// What must be mended.
    pub(super) mistakes: Vec<Mistake>,
    /// What works but is not wise.
    pub(super) warnings: Vec<Mistake>,
}

impl<'a> Check<'a> {
    /// Nothing found yet.
    pub(super) fn new(layers: &'a [Layer], wrong: BTreeSet<KeyPath>) -> Self {
        Self { layers, wrong, mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// Puts a mistake down.
    pub(super) fn mistake(&mut self, key: &KeyPath, text: impl Into<String>) {
        let mistake = self.note(key, text.into());
        self.wrong.insert(key.clone());
        self.mistakes.push(mistake);
    }

    /// The same by the spelling of a key.
    pub(super) fn wrong(&mut self, key: &str, text: impl Into<String>) {
        self.mistake(&KeyPath::parse(key), text);
    }

    /// Puts a warning down.
    pub(super) fn warn(&mut self, key: &KeyPath, text: impl Into<String>) {
        let warning = self.note(key, text.into());
        self.warnings.push(warning);
    }

    /// A note with its place: that of the key, or of the nearest section above it.
    fn note(&self, key: &KeyPath, text: String) -> Mistake {
        let givers = self.layers.iter().rev();
        let giver = givers.clone().find(|layer| layer.find(key).is_some());
        let origin = giver.or_else(|| givers.clone().find(|layer| layer.place(key).is_some()));
        let origin = origin.and_then(|layer| layer.place(key)).cloned().unwrap_or_default();
        Mistake { origin, key: key.to_string(), text }
    }

    /// How high the layer is that gives a key; 0: none does.
    pub(super) fn rank(&self, key: &KeyPath) -> usize {
        self.layers.iter().rposition(|layer| layer.find(key).is_some()).map_or(0, |at| at + 1)
    }

    /// Whether nothing wrong was found about a key, or the file in its place, so that its value says something.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        let keys = [KeyPath::parse(key), KeyPath::parse(&format!("{key}_file"))];
        keys.iter().all(|key| !self.wrong.contains(key))
    }

    /// A number that must lie within bounds, both included.
    pub(super) fn within<T: PartialOrd + Display + Copy>(&mut self, key: &str, value: T, least: T, most: T) {
        if value < least || most < value {
            self.wrong(key, format!("{value} is out of bounds: write {least} to {most}"));
        }
    }

    /// Two keys that only make sense together.
    pub(super) fn both_or_neither(&mut self, a: (&str, bool), b: (&str, bool)) {
        if a.1 == b.1 || !self.is_sound(a.0) || !self.is_sound(b.0) {
            return;
        }
        let (given, missing) = if a.1 { (a.0, b.0) } else { (b.0, a.0) };
        self.wrong(given, format!("{missing} is missing: give both or neither"));
    }

    /// A time zone.
    pub(super) fn zone(&mut self, key: &KeyPath, text: &str) {
        if let Err(error) = ZoneSetting::parse(text) {
            self.mistake(key, error.to_string());
        }
    }

    /// A slug.
    pub(super) fn slug(&mut self, key: &KeyPath, text: &str) {
        let right = slug(text);
        if right.as_deref() != Some(text) {
            let remedy = right.map(|right| format!(", such as {right:?}")).unwrap_or_default();
            let rule = "write lower-case letters, digits and _, at most 64";
            self.mistake(key, format!("{text:?} cannot be part of a topic: {rule}{remedy}"));
        }
    }

    /// A text that must not be empty.
    pub(super) fn filled(&mut self, key: &str, text: Option<&str>) {
        if text.is_some_and(|text| text.trim().is_empty()) {
            self.wrong(key, "this is empty: write a value, or remove the key");
        }
    }
}

impl Config {
    /// Checks what types cannot: section by section, then what holds between sections.
    pub(super) fn check(&self, check: &mut Check<'_>) {
        self.check_ingest(check);
        self.admin.check(check);
        self.limits.check(check);
        self.storage.check(check);
        self.snapshots.check(check);
        self.activity.check(check);
        self.mqtt.check(check);
        self.nats.check(check);
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

    /// Brings keys that have several spellings to one.
    pub(super) fn normalize(&mut self, origins: Origins, check: &mut Check<'_>) -> Origins {
        super::devices::normalize(&mut self.devices, origins, check)
    }

    /// No two listeners on one port. (The embedded broker looks for a free one by itself.)
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

/// Whether two listeners would be after the same port of the same address.
fn overlaps(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && (any || a.ip() == b.ip())
}
