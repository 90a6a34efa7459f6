//! Wording of names, comments, pages and documents: the project uses the standard terms of the field.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::source::{Source, sources};
use super::{faulty_lines, none};

/// Phrases that are not used anywhere, each with its replacement. The blanks keep this file from finding itself.
const BANNED: &[(&str, &str)] = &[
    ("walk through the _picture", "walk past the camera"),
    ("the far _side", "the broker, the sink"),
    ("the _books", "the ledger state"),
    ("_lookout", "monitor"),
    ("be _mended", "fixed, repaired"),
    ("_mend the", "fix the"),
    ("follows by _itself", "(leave it out)"),
    ("How far alarms _get", "Delivery check"),
    ("stands in the _way", "Problems"),
    ("A connection _came", "Camera connected"),
    ("The broker has _it", "Broker confirmed"),
    ("None came with _it", "No picture sent"),
    ("that is no _alarm", "not an alarm"),
    ("TLS _hello", "TLS handshake"),
    ("in step with this _bridge", "clock correct"),
    ("fits no time _zone", "time unusable"),
    ("became of _it", "result"),
    ("made of _it", "(name the result)"),
    ("As it _came", "Received"),
    ("as it _came", "as received"),
    ("refuses _everything", "rejects everything"),
    ("takes the given name _back", "restores the camera's own"),
    ("_will not have", "rejects"),
    ("stands _twice", "is given twice"),
    ("is no _TOML", "is not valid TOML"),
    ("without losing _one", "stores every alarm before it answers"),
    ("ends where it _must", "exceptions"),
    ("a changing _word", "a marker"),
    ("_parted by", "separated by"),
    ("take the # _away", "remove the #"),
    ("other topics in _mind", "uses a different topic"),
    ("_look after", "check, fix"),
];

/// Documents whose sections a comment could cite, although they are not in the repository.
const ABSENT_DOCUMENTS: [&str; 8] =
    ["DESIGN", "WIRE", "UX", "STYLE", "CLUSTER", "VENDORS", "WORDS", "HOME-ASSISTANT"];

/// Words that begin a question. A doc comment begins with a noun phrase or a verb instead.
const QUESTIONS: [&str; 11] =
    ["What", "How", "Whether", "Who", "Whose", "So", "Which", "Where", "When", "Why", "That"];

/// Public type names that may be defined more than once: the client of each version of MQTT, the configuration and the
/// sink of notifications, and names that are used in one module only.
const SHARED_NAMES: [&str; 16] = [
    "Client",
    "Notify",
    "Answer",
    "Asked",
    "Cluster",
    "Content",
    "Failure",
    "Input",
    "Line",
    "Partition",
    "Presence",
    "Review",
    "Scope",
    "Tick",
    "Tree",
    "Wanted",
];

/// The project's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Text files of a folder, with their paths from the project's folder.
fn texts(folder: &str, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path.strip_prefix(root()).expect("it is in the project").to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(texts(&name, endings));
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(Source { path: name, text: fs::read_to_string(&path).expect("it is text") });
        }
    }
    found
}

/// All sources, templates, documents and the example of the configuration, without this file.
fn all() -> Vec<Source> {
    let mut all = sources(&["src", "tests"]);
    all.extend(texts("src/web", &[".html", ".js"]));
    all.extend(texts("docs", &[".md"]));
    all.extend(texts("docker", &[".yml", ".yaml", ".md", ".sh", ".json"]));
    for name in ["README.md", "config.example.toml", "Cargo.toml"] {
        let text = fs::read_to_string(root().join(name)).expect("it is text");
        all.push(Source { path: name.into(), text });
    }
    all.retain(|source| source.path != "tests/it/tidy/words.rs");
    all
}

/// The text of a line that is a doc comment.
fn doc(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim)
}

/// The first word of a text.
fn first_word(text: &str) -> &str {
    text.split(|sign: char| !sign.is_alphanumeric()).next().unwrap_or_default()
}

#[test]
fn phrases_that_were_replaced_do_not_return() {
    let banned: Vec<(String, &str)> =
        BANNED.iter().map(|(phrase, better)| (phrase.replace('_', ""), *better)).collect();
    none(&faulty_lines(&all(), |line| {
        let found = banned.iter().find(|(phrase, _)| line.contains(phrase.as_str()));
        found.map(|(phrase, better)| format!("{phrase:?}: write {better:?}"))
    }));
}

#[test]
fn comments_cite_only_documents_of_the_repository() {
    none(&faulty_lines(&sources(&["src", "tests"]), |line| {
        let (_, comment) = line.split_once("//")?;
        let words: Vec<&str> = comment.split([' ', '(', ')', ',', '.']).collect();
        let cites = |pair: &&[&str]| {
            ABSENT_DOCUMENTS.contains(&pair[0]) && pair[1].starts_with(|sign: char| sign.is_ascii_digit())
        };
        words.windows(2).find(cites).map(|pair| format!("{} is not in the repository", pair[0]))
    }));
}

#[test]
fn files_named_in_comments_exist() {
    let folders = ["src/", "tests/", "docs/", "docker/", ".ci/"];
    none(&faulty_lines(&sources(&["src", "tests"]), |line| {
        let (_, comment) = line.split_once("//")?;
        let names = comment.split('`').skip(1).step_by(2);
        let mut files = names.filter(|name| {
            folders.iter().any(|folder| name.starts_with(folder))
                && !name.contains(['*', '<', '{', ' ', '…', '|'])
        });
        let absent = files.find(|name| {
            !root().join(name.split(['#', ':']).next().unwrap_or(name)).try_exists().unwrap_or(false)
        });
        absent.map(|name| format!("{name} does not exist"))
    }));
}

#[test]
fn doc_comments_do_not_begin_with_a_question_word() {
    let mut findings = Vec::new();
    for source in sources(&["src", "tests"]) {
        let mut inside = false;
        for (number, line) in source.text.lines().enumerate() {
            let Some(text) = doc(line) else {
                inside = false;
                continue;
            };
            if !inside && QUESTIONS.contains(&first_word(text)) {
                findings.push(format!("{}:{}: {text}", source.path, number + 1));
            }
            inside = true;
        }
    }
    none(&findings);
}

#[test]
fn every_public_type_name_is_defined_once() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        for line in source.code().lines() {
            let Some(name) = public_type(line.trim_start()) else { continue };
            places.entry(name.to_owned()).or_default().push(source.path.clone());
        }
    }
    places.retain(|name, places| places.len() > 1 && !SHARED_NAMES.contains(&name.as_str()));
    let findings = places.iter().map(|(name, places)| format!("{name}: {}", places.join(", ")));
    none(&findings.collect::<Vec<_>>());
}

/// The name of the public type that a line defines.
fn public_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(')')?.1,
        None => rest,
    };
    let (keyword, rest) = rest.trim_start().split_once(' ')?;
    let is_type = ["struct", "enum", "trait", "union", "type"].contains(&keyword);
    is_type.then(|| rest.split(|sign: char| !sign.is_alphanumeric()).next().unwrap_or_default())
}
