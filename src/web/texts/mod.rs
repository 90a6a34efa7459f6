//! Texts of the pages in the viewer's language. English stands in the templates and sources themselves; each other
//! language is a file beside this one, from the English text to its own. A test holds that no file lacks a text, and
//! none has one that no page uses.
//!
//! Details, causes and remedies of findings, and what the log says are English in every language: they are searched for.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;

use super::preferences::Preferences;
use language::Language;

pub(super) mod language;

/// Texts of a language by the English ones.
type Table = HashMap<String, String>;

static GERMAN: LazyLock<Table> = LazyLock::new(|| table(include_str!("de.toml")));
static ITALIAN: LazyLock<Table> = LazyLock::new(|| table(include_str!("it.toml")));
static SPANISH: LazyLock<Table> = LazyLock::new(|| table(include_str!("es.toml")));

/// The texts of a language; `None`: it is that of the sources.
fn of(language: Language) -> Option<&'static Table> {
    match language {
        Language::English => None,
        Language::German => Some(&GERMAN),
        Language::Italian => Some(&ITALIAN),
        Language::Spanish => Some(&SPANISH),
    }
}

/// Marks a text of a table as one to translate; the table's reader gives it to [`tr`].
pub(super) const fn key(text: &'static str) -> &'static str {
    text
}

/// A text in the viewer's language.
pub(super) fn tr(text: &'static str) -> &'static str {
    found(text).unwrap_or(text)
}

/// A text that may be one of ours, such as the title of a kind of alarm.
pub(super) fn tr_any(text: &str) -> String {
    found(text).map_or_else(|| text.to_owned(), str::to_owned)
}

/// A text in the viewer's language, if it is one of those.
pub(super) fn tr_of(known: &[&'static str], text: &str) -> String {
    known.iter().find(|known| **known == text).map_or_else(|| text.to_owned(), |known| tr(known).to_owned())
}

/// A text in the viewer's language with a value in place of `{}`.
pub(super) fn fill(text: &'static str, value: impl Display) -> String {
    tr(text).replacen("{}", &value.to_string(), 1)
}

/// A text in the viewer's language with two values in place of `{}`.
pub(super) fn fill_two(text: &'static str, first: impl Display, second: impl Display) -> String {
    let (before, after) = tr(text).split_once("{}").unwrap_or((text, ""));
    format!("{before}{first}{}", after.replacen("{}", &second.to_string(), 1))
}

/// A number with its thousands apart, as the viewer's language writes it.
pub(super) fn number(count: u64) -> String {
    let separator = if Preferences::current().language == Language::English { ',' } else { '.' };
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

fn found(text: &str) -> Option<&'static str> {
    of(Preferences::current().language)?.get(text).map(String::as_str)
}

/// Reads a file of texts; a test holds that each can be read.
fn table(text: &str) -> Table {
    toml_edit::de::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
