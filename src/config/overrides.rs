//! Environment variables and flags: texts that become values of the type their key has.
//!
//! Values are not guessed from their looks: where a key holds a text, `007` and `true` stay as typed.

use figment::value::{Dict, Num, Tag, Value};

use super::complete;
use super::file;
use super::keypath::KeyPath;
use super::layer::Layer;
use super::mistake::{Mistake, Origin};
use super::nearest::nearest;

/// What every variable of ours begins with.
const PREFIX: &str = "ALARMBUS_";
/// Variables that are ours but no keys.
const NO_KEYS: [&str; 1] = ["ALARMBUS_CONFIG"];

/// The values given by environment variables, and the mistakes among them.
///
/// An empty variable counts as not set: Compose files pass them on like that.
pub(super) fn variables(env: &[(String, String)]) -> (Layer, Vec<Mistake>) {
    let (mut layer, mut mistakes) = (Layer::default(), Vec::new());
    let sample = complete::tree();
    for (name, text) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if text.is_empty() || NO_KEYS.contains(&name.as_str()) || is_service_link(rest) {
            continue;
        }
        let path = KeyPath::of(rest.to_lowercase().split("__"));
        let origin = Origin::Variable(name.clone());
        let set = variable_problem(&path, &sample)
            .map_or_else(|| convert(&sample, &path, text), Err)
            .and_then(|value| put(&mut layer, &path, value, &origin));
        if let Err(text) = set {
            mistakes.push(Mistake { origin, key: String::new(), text });
        }
    }
    (layer, mistakes)
}

/// The values given by flags: name, key and text of each; and the mistakes among them.
pub(super) fn flags(flags: &[super::Flag]) -> (Layer, Vec<Mistake>) {
    let (mut layer, mut mistakes) = (Layer::default(), Vec::new());
    let sample = complete::tree();
    for flag in flags {
        let path = KeyPath::parse(&flag.key);
        let origin = Origin::Flag(flag.name.clone());
        let set = convert(&sample, &path, &flag.value).and_then(|v| put(&mut layer, &path, v, &origin));
        if let Err(text) = set {
            mistakes.push(Mistake { origin, key: path.to_string(), text });
        }
    }
    (layer, mistakes)
}

/// Docker links and Kubernetes make variables of the name of a service: one called `alarmbus` must not stop us.
fn is_service_link(rest: &str) -> bool {
    rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_")
}

/// Why a variable cannot set a key at all.
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
        // The prefix they all share would make any two alike.
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

/// Sets a value.
fn put(layer: &mut Layer, path: &KeyPath, value: Value, origin: &Origin) -> Result<(), String> {
    layer
        .set(path, value, origin.clone())
        .then_some(())
        .ok_or_else(|| "another setting gives the section above it a plain value: remove one of them".into())
}

/// Makes a value of the type that the key has. A text that does not fit stays one: its refusal names the type.
fn convert(sample: &Dict, path: &KeyPath, text: &str) -> Result<Value, String> {
    let string = || Value::String(Tag::Default, text.to_owned());
    Ok(match lookup(sample, path) {
        Some(Value::Bool(..)) => truth(text).map_or_else(string, |truth| Value::Bool(Tag::Default, truth)),
        Some(Value::Num(..)) => number(text).map_or_else(string, |number| Value::Num(Tag::Default, number)),
        Some(Value::Array(..)) => list(text)?,
        Some(Value::Dict(..)) => return Err("this is a section: set its keys one by one".into()),
        _ => string(),
    })
}

/// The sample's value at a path; `*` stands for the keys of a map.
fn lookup<'a>(sample: &'a Dict, path: &KeyPath) -> Option<&'a Value> {
    let (first, rest) = path.steps().split_first()?;
    rest.iter().try_fold(sample.get(first)?, |value, step| match value {
        Value::Dict(_, dict) => dict.get(step).or_else(|| dict.get(complete::ANY)),
        _ => None,
    })
}

/// A truth in one of its usual spellings.
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

/// A list: a TOML array, or texts parted by commas.
fn list(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('[') {
        return file::parse_value(text)
            .ok_or_else(|| "this begins as a TOML array and is none: check quotes and brackets".into());
    }
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    Ok(Value::Array(Tag::Default, texts.map(|text| Value::String(Tag::Default, text.into())).collect()))
}
