//! Environment variables and flags: their texts become values of the type that the key has.
//!
//! The type is not guessed from the text: for a key of type text, `007` and `true` stay as typed.

use figment::value::{Dict, Num, Tag, Value};

use super::input::{Flag, Sources};
use super::tree::Tree;
use super::{complete, file};
use crate::config::keypath::KeyPath;
use crate::config::mistake::{Mistake, Origin};
use crate::config::nearest::nearest;

/// Prefix of all variables of alarmbus.
const PREFIX: &str = "ALARMBUS_";
/// Variables with the prefix that are not keys.
const NO_KEYS: [&str; 1] = ["ALARMBUS_CONFIG"];

/// Sets what variables and then flags give. Returns the mistakes among them.
///
/// An empty variable counts as not set: Compose files pass them on like that.
pub(crate) fn set(tree: &mut Tree, sources: &Sources) -> Vec<Mistake> {
    let (mut mistakes, sample) = (Vec::new(), complete::tree());
    for (name, text) in &sources.env {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if text.is_empty() || NO_KEYS.contains(&name.as_str()) || is_service_link(rest) {
            continue;
        }
        let (path, place) = (KeyPath::of(rest.to_lowercase().split("__")), Origin::Variable(name.clone()));
        let tag = tree.tag(place.clone());
        match variable_problem(&path, &sample).map_or_else(|| convert(&sample, &path, text, tag), Err) {
            Ok(value) => tree.set(&path, value),
            Err(text) => mistakes.push(Mistake { origin: place, key: String::new(), text }),
        }
    }
    for Flag { name, key, value } in &sources.flags {
        let (path, place) = (KeyPath::parse(key), Origin::Flag(name.clone()));
        let tag = tree.tag(place.clone());
        match convert(&sample, &path, value, tag) {
            Ok(value) => tree.set(&path, value),
            Err(text) => mistakes.push(Mistake { origin: place, key: path.to_string(), text }),
        }
    }
    mistakes
}

/// Returns whether a variable is one that Docker links and Kubernetes make for a service named `alarmbus`; it is
/// ignored.
fn is_service_link(rest: &str) -> bool {
    rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_")
}

/// Reason why a variable cannot set a key.
fn variable_problem(path: &KeyPath, sample: &Dict) -> Option<String> {
    let section = path.steps().first().map(String::as_str);
    if section == Some("devices") {
        return Some(
            "a map keyed by MAC cannot be set by environment: write [devices.\"98:ba:5f:8b:10:03\"] \
             into the configuration file"
                .into(),
        );
    }
    if section == Some("webhooks") && path.steps().len() != 1 {
        return Some("webhooks are a list: write ALARMBUS_WEBHOOKS='[{ path = \"/alarm/…\" }]'".into());
    }
    let known = lookup(sample, path).is_some();
    (!known).then(|| {
        // Without the common prefix, which would make any two names similar.
        let bare = |path: &KeyPath| path.variable().chars().skip(PREFIX.len()).collect::<String>();
        let names: Vec<String> = complete::paths().iter().map(bare).collect();
        match nearest(&bare(path), names.iter().map(String::as_str)) {
            Some(name) => format!("no such variable: did you mean {PREFIX}{name}?"),
            None => "no such variable: the keys are those of config.example.toml, \
                     as ALARMBUS_<SECTION>__<KEY>"
                .into(),
        }
    })
}

/// Makes a value of the type that the key has. A text that does not fit stays one: its refusal names the type.
fn convert(sample: &Dict, path: &KeyPath, text: &str, tag: Tag) -> Result<Value, String> {
    let string = || Value::String(tag, text.to_owned());
    Ok(match lookup(sample, path) {
        Some(Value::Bool(..)) => truth(text).map_or_else(string, |truth| Value::Bool(tag, truth)),
        Some(Value::Num(..)) => number(text).map_or_else(string, |number| Value::Num(tag, number)),
        Some(Value::Array(..)) => Value::Array(tag, list(text)?),
        Some(Value::Dict(..)) => return Err("this is a section: set its keys one by one".into()),
        _ => string(),
    })
}

/// Value of the sample at a path; `*` stands for the keys of a map.
fn lookup<'a>(sample: &'a Dict, path: &KeyPath) -> Option<&'a Value> {
    let (first, rest) = path.steps().split_first()?;
    rest.iter().try_fold(sample.get(first)?, |value, step| match value {
        Value::Dict(_, dict) => dict.get(step).or_else(|| dict.get(complete::ANY)),
        _ => None,
    })
}

/// Parses a boolean in one of its usual spellings.
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number.
fn number(text: &str) -> Option<Num> {
    let text = text.trim();
    text.parse().map(Num::U64).or_else(|_| text.parse().map(Num::I64)).ok()
}

/// A list: a TOML array, or texts separated by commas.
fn list(text: &str) -> Result<Vec<Value>, String> {
    if text.trim_start().starts_with('[') {
        return match file::parse_value(text) {
            Some(Value::Array(_, list)) => Ok(list),
            _ => Err("this begins as a TOML array and is none: check quotes and brackets".into()),
        };
    }
    Ok(text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(Value::from).collect())
}
