use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{GERMAN, ITALIAN, SPANISH, table};
use crate::findings::CATALOGUE;
use crate::model::event::KINDS;

/// Files of the pages with this ending.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("texts") {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

fn sources(ending: &str) -> String {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web"), ending, &mut found);
    found.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The literals that a call begins with.
fn first_literals(source: &str, call: &str) -> BTreeSet<String> {
    let calls = source.match_indices(call).map(|(at, _)| (at, source.get(at + call.len()..).unwrap()));
    let own = calls.filter(|(at, _)| {
        !source.get(..*at).unwrap().ends_with(|sign: char| sign.is_alphanumeric() || sign == '_')
    });
    let literal =
        |rest: &str| rest.trim_start().strip_prefix('"')?.split_once('"').map(|(text, _)| text.to_owned());
    own.filter_map(|(_, rest)| literal(rest)).collect()
}

/// The literals that a template gives to the filters.
fn filtered(source: &str) -> BTreeSet<String> {
    let ends = source.match_indices("\"|t").map(|(at, _)| source.get(..at).unwrap());
    ends.map(|before| before.rsplit('"').next().unwrap().to_owned()).collect()
}

/// Every text that a page can show in another language.
fn used() -> BTreeSet<String> {
    let code = sources("rs");
    let mut texts = filtered(&sources("html"));
    for call in ["tr(", "key(", "fill(", "fill_two("] {
        texts.extend(first_literals(&code, call));
    }
    for (at, call) in code.match_indices("counted(") {
        let Some((arguments, _)) = code.get(at + call.len()..).unwrap().split_once(')') else { continue };
        let Some(noun) = arguments.split('"').nth(1) else { continue };
        texts.extend([format!("{{}} {noun}"), format!("{{}} {noun}s")]);
    }
    texts.extend(KINDS.iter().map(|kind| kind.title.to_owned()));
    texts.extend(CATALOGUE.iter().map(|kind| kind.title.to_owned()));
    texts
}

#[test]
fn no_language_lacks_a_text_and_none_has_an_unused_one() {
    let used = used();
    for (name, language) in [("de", &*GERMAN), ("it", &*ITALIAN), ("es", &*SPANISH)] {
        let known: BTreeSet<String> = language.keys().cloned().collect();
        let lacking: Vec<_> = used.difference(&known).collect();
        let unused: Vec<_> = known.difference(&used).collect();
        assert!(
            lacking.is_empty() && unused.is_empty(),
            "{name}.toml lacks {lacking:#?}, and has unused {unused:#?}"
        );
    }
}

/// Text of a template without its tags, expressions and statements; values of attributes that are shown or read out are
/// texts too.
fn bare(template: &str) -> Vec<String> {
    let without = |text: &str, from: &str, to: &str| {
        let mut parts = text.split(from);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |kept, part| kept + " " + part.split_once(to).map_or("", |(_, rest)| rest))
    };
    let marked = without(&without(template, "{{", "}}"), "{%", "%}");
    let names = ["title", "aria-label", "alt", "placeholder", "data-say", "data-title", "data-what"];
    let values = names.iter().flat_map(|name| {
        let attribute = format!(" {name}=\"");
        let values: Vec<_> = marked.split(&attribute).skip(1).map(str::to_owned).collect();
        values.into_iter().filter_map(|rest| rest.split('"').next().map(str::to_owned))
    });
    let values: Vec<String> = values.collect();
    let texts = without(&without(&without(&marked, "<code", "</code>"), "<pre", "</pre>"), "<", ">");
    let words = texts.split_whitespace().map(str::to_owned).chain(values);
    let is_text = |text: &String| text.chars().filter(|sign| sign.is_alphabetic()).count() > 1;
    words.filter(is_text).collect()
}

#[test]
fn templates_have_no_text_that_cannot_be_translated() {
    // Names and units that are the same in every language.
    let names = ["alarmbus", "JSON", "CSV", "MAC", "GiB", "request.id="];
    let mut found = Vec::new();
    let mut paths = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/templates"), "html", &mut paths);
    // The page that a camera's port answers with has no viewer whose language is known.
    for path in paths.iter().filter(|path| !path.ends_with("right_url.html")) {
        let words = bare(&fs::read_to_string(path).unwrap());
        let own = words.into_iter().filter(|word| !names.contains(&word.trim_matches('·').trim()));
        found.extend(own.map(|word| format!("{}: {word}", path.display())));
    }
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(bare("<p title=\"A b\">Hi {{ x }} <code>ab</code></p>"), ["Hi", "A b"]);
}

#[test]
fn a_translation_has_the_values_and_the_markup_of_its_text() {
    for language in [&*GERMAN, &*ITALIAN, &*SPANISH] {
        for (text, translated) in language {
            assert!(!translated.trim().is_empty(), "{text:?} is empty");
            for mark in ["{}", "<b>", "</b>", "<code>", "</code>"] {
                assert_eq!(
                    text.matches(mark).count(),
                    translated.matches(mark).count(),
                    "{text:?}: {translated:?}"
                );
            }
        }
    }
}

#[test]
fn scripts_use_the_texts_that_the_page_hands_them() {
    let handed = first_literals(&sources("rs"), "key(");
    let wanted = first_literals(&sources("js"), "t(");
    let missing: Vec<_> = wanted.difference(&handed).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(wanted.contains("Reconnecting"));
}

#[test]
fn thousands_are_apart() {
    for (count, text) in [(7, "7"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
        assert_eq!(super::number(count), text);
    }
}

#[test]
fn a_file_of_texts_is_toml() {
    assert_eq!(table("\"a\" = \"b\"").get("a").map(String::as_str), Some("b"));
}
