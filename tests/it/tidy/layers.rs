//! The direction of `use` between rooms (`docs/architecture.md`).

use super::source::Source;

/// Common modules that all may use; they use only each other, those to the left.
const COMMON: &[&str] = &["host", "tls", "model", "config", "findings", "metrics"];

/// A module and those that it may use besides [`COMMON`] and itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("activity", &[]),
    ("decode", &[]),
    ("homeassistant", &[]),
    ("render", &["homeassistant"]),
    ("outbox", &["activity"]),
    ("sink", &["render"]),
    ("relay", &["outbox", "render", "sink"]),
    ("http", &["decode", "outbox"]),
    ("web", &["decode", "http", "outbox"]),
    ("cluster", &["outbox", "sink"]),
    ("simulate", &[]),
    ("log", &[]),
    ("terminal", &[]),
];

/// They see all but each other: only `cli` sees `app`, and nobody else sees either.
const ROOTS: &[&str] = &["app", "cli", "lib", "main"];

/// All uses in a source that violate the direction.
pub(crate) fn violations(source: &Source) -> Vec<String> {
    let room = source.room();
    if source.is_test() {
        return Vec::new();
    }
    let code = source.code();
    if ROOTS.contains(&room) {
        let upward =
            room == "app" && used_rooms(&code).iter().any(|used| used.split("::").next() == Some("cli"));
        return if upward { vec![format!("{}: app may not use cli", source.path)] } else { Vec::new() };
    }
    let mut wrong = Vec::new();
    for used in used_rooms(&code) {
        let name = used.split("::").next().unwrap_or_default();
        if name != room && !is_allowed(room, name) {
            wrong.push(format!("{}: {room} may not use {name} (crate::{used})", source.path));
        }
    }
    let escape = "super::".repeat(source.depth());
    if code.lines().any(|line| line.contains(&escape)) {
        wrong.push(format!("{}: {escape} leaves the room: write crate::", source.path));
    }
    wrong
}

/// Returns whether one module may use another.
fn is_allowed(room: &str, used: &str) -> bool {
    let place = |name| COMMON.iter().position(|common| *common == name);
    match (place(room), place(used)) {
        (Some(from), Some(to)) => to < from,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => {
            let allowed = ALLOWED.iter().find(|(name, _)| *name == room);
            allowed.is_some_and(|(_, rooms)| rooms.contains(&used))
        }
    }
}

/// The paths behind `crate::`, two segments of each, with `use crate::{…}` taken apart.
fn used_rooms(code: &str) -> Vec<String> {
    let (mut paths, mut left) = (Vec::new(), code);
    while let Some((before, rest)) = left.split_once("crate::") {
        left = rest;
        let is_part = |sign: char| sign.is_alphanumeric() || sign == '_' || sign == '$';
        if before.ends_with(is_part) {
            continue;
        }
        if rest.starts_with('{') {
            paths.extend(entries(group(rest)).iter().map(|entry| first_two(entry)));
        } else {
            paths.push(first_two(rest));
        }
    }
    paths
}

/// The text from an opening brace to its closing one, without them.
fn group(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, sign) in text.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 1 => return text.get(1..at).unwrap_or_default(),
            '}' => depth -= 1,
            _ => {}
        }
    }
    text
}

/// The entries of a group, separated by its own commas.
fn entries(group: &str) -> Vec<String> {
    let (mut depth, mut all) = (0_usize, vec![String::new()]);
    for sign in group.chars() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().expect("there is one").push(sign);
    }
    all.into_iter().map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect()
}

/// `room::Name` or `room::{…}` of a longer path.
fn first_two(path: &str) -> String {
    let word = |text: &str| -> String {
        text.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect()
    };
    let room = word(path);
    let Some(rest) = path.strip_prefix(room.as_str()).and_then(|rest| rest.strip_prefix("::")) else {
        return room;
    };
    let name = if rest.starts_with('{') { format!("{{{}}}", group(rest)) } else { word(rest) };
    format!("{room}::{name}")
}

#[test]
fn a_wrong_use_is_found_however_it_is_written() {
    let check = |path: &str, text: &str| {
        let source = Source { path: path.into(), text: text.into() };
        violations(&source).len()
    };
    assert_eq!(check("src/decode/x.rs", "use crate::outbox::Outbox;"), 1);
    assert_eq!(check("src/decode/x.rs", "use crate::{model::Mac, config::{A, B}, http, app};"), 2);
    assert_eq!(check("src/decode/x.rs", "fn f(it: &crate::sink::Session) {}"), 1);
    assert_eq!(check("src/decode/x.rs", "use super::super::sink;"), 1);
    assert_eq!(check("src/decode/x.rs", "// crate::sink\nuse super::y;\npub(crate) fn f() {}"), 0);
    assert_eq!(check("src/decode/x.rs", "#[cfg(test)]\nmod tests {\n    use crate::outbox;\n}"), 0);
    assert_eq!(check("src/outbox/x.rs", "use crate::render::{Content, Message};"), 1);
    assert_eq!(check("src/model/x.rs", "use crate::config::Config;"), 1);
    assert_eq!(check("src/findings.rs", "use crate::model::Mac;"), 0);
    assert_eq!(check("src/newroom.rs", "use crate::model::Mac;\nuse crate::sink::Sink;"), 1);
    assert_eq!(check("src/app.rs", "use crate::{http, sink};"), 0);
    assert_eq!(check("src/app/x.rs", "use crate::cli::out;"), 1);
    assert_eq!(check("src/cli/x.rs", "use crate::app::sinks;"), 0);
}
