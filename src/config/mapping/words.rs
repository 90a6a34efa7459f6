//! Checks of a mapping file that its JSON Schema cannot express: its name, and probably misspelled kinds.

use figment::value::Value;

use super::notes::Notes;
use crate::config::keypath::KeyPath;
use crate::config::nearest::nearest;
use crate::config::sources::tree::Tree;
use crate::model::device::slug::slug;
use crate::model::event::KINDS;

/// Vendors implemented in code.
pub(super) const CODED: [&str; 3] = ["vigi", "vigi_nvr", "generic"];
/// Values in place of a kind for requests that are not alarms.
pub const NO_ALARM: [&str; 3] = ["alive", "test", "ignore"];

/// Checks a file.
pub(super) fn check(tree: &Tree, notes: &mut Notes<'_>) {
    check_name(tree, notes);
    let key = |steps: &[&str]| KeyPath::of(steps.iter().copied());
    let text = |key: &KeyPath| tree.find(key).and_then(Value::as_str).map(str::to_owned);
    for table in ["kinds", "codes"] {
        let at = key(&[table]);
        for word in tree.find(&at).and_then(Value::as_dict).into_iter().flat_map(|dict| dict.keys()) {
            check_kind(text(&at.join(word)), &at.join(word), notes);
        }
    }
    let rules = tree.find(&key(&["rules"])).and_then(Value::as_array).map_or(0, <[Value]>::len);
    for number in 0..rules {
        let at = key(&["rules", &number.to_string()]);
        match text(&at.join("event")) {
            None => notes.mistake(&at, "a rule needs a kind: write event = \"person\", or another"),
            event => check_kind(event, &at.join("event"), notes),
        }
    }
    check_kind(text(&key(&["kind_default"])), &key(&["kind_default"]), notes);
    let kinds = ["kind", "kind_default", "code", "rules"];
    if kinds.iter().all(|name| tree.find(&key(&[name])).is_none()) {
        let remedy = "give the pointer of the kind, or kind_default";
        notes.warn(&key(&["kind"]), format!("it is missing, so all alarms are of kind `unknown`: {remedy}"));
    }
}

/// Checks that the name is a slug and not reserved.
fn check_name(tree: &Tree, notes: &mut Notes<'_>) {
    let key = KeyPath::of(["name"]);
    let Some(value) = tree.find(&key) else {
        return notes.mistake(
            &key,
            "it is missing: write the maker's name in a-z, 0-9 and _, such as name = \"acme\"",
        );
    };
    let Some(name) = value.as_str() else { return };
    if slug(name).as_deref() != Some(name) {
        let right = slug(name).map(|right| format!(", such as {right:?}")).unwrap_or_default();
        notes.mistake(&key, format!("{name:?} is not a valid maker name: write a-z, 0-9 and _{right}"));
    } else if name == "auto" || CODED.contains(&name) {
        notes.mistake(&key, format!("{name:?} is a word of the bridge: choose another name"));
    }
}

/// Warns of a kind outside the catalogue: it works, but is often a mistake.
fn check_kind(kind: Option<String>, key: &KeyPath, notes: &mut Notes<'_>) {
    let Some(kind) = kind.filter(|kind| slug(kind).as_ref() == Some(kind)) else { return };
    let known = || KINDS.iter().map(|kind| kind.slug).chain(NO_ALARM);
    if !known().any(|slug| slug == kind) {
        let hint = nearest(&kind, known()).map(|near| format!(": did you mean {near}?")).unwrap_or_default();
        notes.warn(
            key,
            format!("{kind:?} is not a kind alarmbus knows; it works, without a class of its own{hint}"),
        );
    }
}
