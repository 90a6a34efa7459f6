//! Extraction that finds every mistake: figment stops at the first one, so its key is noted and removed, and the
//! extraction is repeated.

use std::collections::BTreeSet;

use figment::Figment;
use figment::error::{Actual, Kind};
use figment::providers::Serialized;

use super::complete;
use super::tree::Tree;
use crate::config::Config;
use crate::config::keypath::KeyPath;
use crate::config::mistake::Mistake;
use crate::config::nearest::nearest;

/// Result of the extraction.
pub(crate) struct Extracted {
    /// Configuration without the wrong values.
    pub(crate) config: Config,
    /// Mistakes found.
    pub(crate) mistakes: Vec<Mistake>,
    /// Keys that were removed.
    pub(crate) wrong: BTreeSet<KeyPath>,
}

/// Extracts the configuration; each round removes one value, so it ends.
pub(crate) fn extract(tree: &mut Tree) -> Extracted {
    let (mut mistakes, mut wrong) = (Vec::new(), BTreeSet::new());
    loop {
        let figment = Figment::from(Serialized::defaults(Config::default())).merge(&*tree);
        let error = match figment.extract::<Config>() {
            Ok(config) => return Extracted { config, mistakes, wrong },
            Err(error) => error,
        };
        let path = KeyPath::of(error.path.clone());
        let origin = tree.place(&path).cloned().unwrap_or_default();
        let element = path.last().parse::<usize>().is_ok();
        let shown = if element { path.parent().unwrap_or_default() } else { path.clone() };
        let text = describe(&path, &error.kind);
        mistakes.push(Mistake { origin, key: shown.to_string(), text });
        wrong.insert(shown);
        if !tree.remove(&path) {
            // Without a key, a default value would be at fault; a test checks that none is.
            return Extracted { config: Config::default(), mistakes, wrong };
        }
    }
}

/// Type of a section.
const SECTION: &str = "a section";

/// Error and remedy.
fn describe(path: &KeyPath, kind: &Kind) -> String {
    match kind {
        Kind::UnknownField(name, valid) => unknown(path, name, valid),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let expected = type_name(expected);
            // Who gives a section a text has left its key out, which may be a secret.
            let shown = match actual {
                Actual::Str(_) if expected == SECTION => "this text".into(),
                _ => describe_value(path, actual),
            };
            format!("{expected} is expected here, not {shown}")
        }
        Kind::UnknownVariant(name, valid) => {
            let choice = valid.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ");
            format!("{choice} is expected here, not {name:?}")
        }
        Kind::Message(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Message for an unknown key: the nearest name beside it, otherwise the section it belongs to, otherwise all names.
fn unknown(path: &KeyPath, name: &str, valid: &[&str]) -> String {
    if let Some(name) = nearest(name, valid.iter().copied()) {
        return format!("no such key: did you mean {name}?");
    }
    let elsewhere: Vec<String> = complete::paths()
        .iter()
        .filter(|known| known.last() == name && !known.steps().iter().any(|step| step == complete::ANY))
        .map(KeyPath::to_string)
        .collect();
    if !elsewhere.is_empty() {
        return format!("no such key: did you mean {}?", elsewhere.join(" or "));
    }
    let section = path.parent().map(|section| section.to_string()).filter(|section| !section.is_empty());
    let section = section.map_or_else(|| "the top level".to_owned(), |section| format!("[{section}]"));
    format!("no such key: {section} takes {}", valid.join(", "))
}

/// Plain name of a type, in place of serde's.
fn type_name(expected: &str) -> String {
    match expected {
        "u16" => "a whole number, 0 to 65535,".into(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more,".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list, in [ ],".into(),
        "a string" | "path string" => "a text in quotes".into(),
        "a map" => SECTION.into(),
        _ if expected.starts_with("enum ") => "a text in quotes".into(),
        _ if expected.starts_with("struct ") => SECTION.into(),
        _ => expected.to_owned(),
    }
}

/// Value that was found; of a secret only its type.
fn describe_value(path: &KeyPath, actual: &Actual) -> String {
    match actual {
        Actual::Seq => "a list".into(),
        Actual::Map => "a section".into(),
        Actual::Unit | Actual::Option => "nothing".into(),
        Actual::Bool(_) | Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) if path.is_secret() => {
            "a bare value".into()
        }
        Actual::Str(_) if path.is_secret() => "this text".into(),
        Actual::Bool(truth) => truth.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}
