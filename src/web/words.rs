//! Text for people: sentences, counts, code.

use std::fmt;

use askama::filters::{Escaper as _, Html, HtmlSafe};

use super::preferences::Preferences;
use super::texts::language::Language;
use super::texts::{fill, fill_two, tr, tr_any};
use crate::model::EventName;

/// Names that stay in lower case at the beginning of a sentence.
const LOWER_CASE_NAMES: [&str; 4] = ["mqtt", "nats", "notify", "stdout"];

/// A text as a sentence with a capital letter. Text that begins with something other than a word is not changed: a
/// URL, a key, a topic, a single name.
pub(super) fn sentence(text: &str) -> String {
    let Some((first, _)) = text.split_once(' ') else { return text.to_owned() };
    let first = first.strip_suffix(':').unwrap_or(first);
    let is_word =
        first.chars().all(|sign| sign.is_alphabetic() || matches!(sign, '\'' | '\u{2019}' | '-' | ','));
    if !is_word || LOWER_CASE_NAMES.contains(&first) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A number with its noun, in the viewer's language: `1 device`, `2 devices`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let text = format!("{{}} {noun}{}", if count == 1 { "" } else { "s" });
    tr_any(&text).replacen("{}", &count.to_string(), 1)
}

/// The stored result of a request; in the viewer's language if it only names kinds of alarms.
pub(super) fn verdict(text: &str) -> String {
    let kinds =
        text.strip_prefix("understood: ").filter(|kinds| !kinds.contains(' ') || kinds.contains(", "));
    match kinds {
        Some(kinds) if Preferences::current().language != Language::English => {
            let titles = kinds.split(", ").map(|kind| tr_any(&EventName::new(kind).title()));
            fill("understood: {}", titles.collect::<Vec<_>>().join(", "))
        }
        _ => text.to_owned(),
    }
}

/// Origin of a setting in the viewer's language.
pub(super) fn origin(text: &str) -> String {
    if let Some((key, rest)) = text.split_once(", ").filter(|(key, _)| !key.contains(' ')) {
        return format!("{key}, {}", origin(rest));
    }
    let place = text.strip_prefix("line ").and_then(|rest| rest.split_once(" of "));
    match (text, place) {
        ("default", _) => tr("default").to_owned(),
        ("set on this page", _) => tr("set on this page").to_owned(),
        ("reported by the device", _) => tr("reported by the device").to_owned(),
        (_, Some((line, path))) => fill_two("line {} of {}", line, path),
        _ => match (text.strip_prefix("environment variable "), text.strip_prefix("flag ")) {
            (Some(name), _) => fill("environment variable {}", name),
            (_, Some(name)) => fill("flag {}", name),
            _ => text.to_owned(),
        },
    }
}

/// A text for a page; parts between backticks are shown as code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Prose(String);

impl Prose {
    /// Returns whether the text is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<String>> From<T> for Prose {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces: Vec<&str> = self.0.split('`').collect();
        // With an even number of pieces the last backtick has no partner, and is shown as it is.
        let pairs = pieces.len() - usize::from(pieces.len().is_multiple_of(2));
        for (at, piece) in pieces.iter().enumerate() {
            match at % 2 == 1 && at < pairs {
                true => f.write_str("<code>").and_then(|()| Html.write_escaped_str(&mut *f, piece))?,
                false => {
                    f.write_str(if at == pairs { "`" } else { "" })?;
                    Html.write_escaped_str(&mut *f, piece)?;
                }
            }
            f.write_str(if at % 2 == 1 && at < pairs { "</code>" } else { "" })?;
        }
        Ok(())
    }
}

/// Each piece is escaped.
impl HtmlSafe for Prose {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_begins_with_a_capital_letter_unless_it_begins_with_no_word() {
        for (text, expected) in [
            ("the path is wrong", "The path is wrong"),
            ("mqtt://127.0.0.1:1 does not authorize", "mqtt://127.0.0.1:1 does not authorize"),
            ("limits.body_bytes is passed", "limits.body_bytes is passed"),
            ("alarmbus/a/b: refused", "alarmbus/a/b: refused"),
            ("mqtt has taken nothing", "mqtt has taken nothing"),
            ("upper, and lower", "Upper, and lower"),
            ("understood: person", "Understood: person"),
            ("mqtt: waiting", "mqtt: waiting"),
            ("word", "word"),
            ("", ""),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }

    #[test]
    fn results_and_origins_are_in_the_viewers_language() {
        let german = Preferences { language: Language::German, ..Preferences::default() };
        german.scope(|| {
            assert_eq!(verdict("understood: person, motion"), "erkannt: Person, Bewegung");
            assert_eq!(verdict("refused: wrong path"), "refused: wrong path");
            assert_eq!(origin("activity.hold_seconds, default"), "activity.hold_seconds, Vorgabe");
            assert_eq!(origin("line 3 of /a b/c of d.toml"), "Zeile 3 von /a b/c of d.toml");
            assert_eq!(origin("flag --bind"), "Parameter --bind");
        });
        assert_eq!(verdict("understood: person"), "understood: person");
        assert_eq!(origin("environment variable X"), "environment variable X");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((counted(1, "device"), counted(0, "device")), ("1 device".into(), "0 devices".into()));
    }

    #[test]
    fn backticks_become_code_and_everything_is_escaped() {
        for (text, expected) in [
            ("run `alarmbus simulate`.", "run <code>alarmbus simulate</code>."),
            ("`a<b` and `c`", "<code>a&#60;b</code> and <code>c</code>"),
            ("one ` alone <i>", "one ` alone &#60;i&#62;"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
            ("", ""),
        ] {
            assert_eq!(Prose::from(text).to_string(), expected);
        }
    }
}
