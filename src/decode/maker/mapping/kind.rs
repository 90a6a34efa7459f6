//! Kind of an event, and its state: start, end or single event.

use super::{Entry, State};
use crate::config::mapping::file::{Mapping, Rule, StateWords};
use crate::decode::maker::fields::{cut, items, text};
use crate::decode::maker::names;
use crate::decode::maker::words::{bare, same};
use crate::model::{EventName, Mode};

/// The most words of a list of kinds.
const MAX_WORDS: usize = 16;

/// Kind of an entry.
pub(super) struct EntryKind {
    /// Slug, or `alive`, `test` or `ignore`.
    pub(super) event: String,
    /// The maker's name of the event.
    pub(super) raw: String,
    /// State, if the kind implies it.
    pub(super) state: Option<State>,
    /// The composite key.
    pub(super) code: Option<String>,
    /// Set if a table or a rule contains it.
    pub(super) known: bool,
}

impl Mapping {
    /// The kinds of an entry: of a list of words such as `MOTION,HUMAN` each, if one of them is known.
    pub(super) fn kinds_of(&self, entry: Entry<'_>) -> Vec<EntryKind> {
        let whole = self.kind_of(entry);
        let several = self.several_kinds(entry, &whole);
        if !several.is_empty() {
            return several;
        }
        let words: Vec<&str> =
            whole.raw.split([',', ';', '|']).map(str::trim).filter(|it| !it.is_empty()).collect();
        if whole.known || !(2..=MAX_WORDS).contains(&words.len()) {
            return vec![whole];
        }
        let kinds: Vec<EntryKind> =
            words.into_iter().map(|word| self.kind_of_word(word.to_owned(), None)).collect();
        if kinds.iter().any(|kind| kind.known) { kinds } else { vec![whole] }
    }

    /// The kinds of an entry that has several at the place of one, such as each event that goes on; empty if it has one.
    fn several_kinds(&self, entry: Entry<'_>, whole: &EntryKind) -> Vec<EntryKind> {
        let mut words: Vec<String> = Vec::new();
        for word in entry.all(&self.kind).into_iter().flat_map(items).filter_map(text) {
            if words.len() < MAX_WORDS && !words.contains(&word) {
                words.push(word);
            }
        }
        if words.len() < 2 || words.first() != Some(&whole.raw) || self.rule_of(entry).is_some() {
            return Vec::new();
        }
        words.into_iter().map(|word| self.kind_of_word(word, None)).collect()
    }

    /// The kind of an entry.
    pub(super) fn kind_of(&self, entry: Entry<'_>) -> EntryKind {
        let raw = entry.text(&self.kind).unwrap_or_default();
        let joined: Vec<String> =
            self.code.iter().filter_map(|pointer| entry.text(std::slice::from_ref(pointer))).collect();
        let code = (!joined.is_empty() && joined.len() == self.code.len()).then(|| cut(&joined.join("/")));
        if let Some(rule) = self.rule_of(entry) {
            let state = rule.state.as_deref().and_then(State::parse);
            let raw = rule.raw.clone().filter(|_| raw.is_empty()).unwrap_or(raw);
            return EntryKind { event: rule.event.clone(), raw, state, code, known: true };
        }
        self.kind_of_word(raw, code)
    }

    /// The first rule that an entry fits.
    fn rule_of(&self, entry: Entry<'_>) -> Option<&Rule> {
        let fits = |rule: &&Rule| {
            rule.has.iter().all(|pointer| entry.has(pointer))
                && rule.said.as_deref().is_none_or(|said| self.said(entry) == State::parse(said))
                && rule.when.iter().all(|(pointer, words)| entry.is(pointer, words.all()))
        };
        self.rules.iter().find(fits)
    }

    /// The kind of a word, or of a composite key.
    fn kind_of_word(&self, raw: String, code: Option<String>) -> EntryKind {
        let (bare_raw, state) = self.state.without_suffix(&raw);
        let known = code.as_ref().and_then(|code| self.codes.get(code)).cloned();
        let found = known
            .or_else(|| self.named(&raw))
            .or_else(|| self.named(bare_raw))
            .or_else(|| self.kind_default.clone().filter(|_| raw.is_empty()));
        let of_table = found.is_some();
        let event = found.unwrap_or_else(|| names::event(last_levels(bare_raw)).as_str().to_owned());
        let known = of_table || event != "unknown" && EventName::new(&event).kind().is_some();
        EntryKind { event, raw, state, code, known }
    }

    /// Slug of a name: of the whole, or of a part between slashes, the last first.
    fn named(&self, raw: &str) -> Option<String> {
        let fits = |key: &str, word: &str| match key.strip_suffix('*') {
            Some(beginning) => bare(word).starts_with(&bare(beginning)),
            None => same(key, word),
        };
        let exact = |word: &str| self.kinds.iter().find(|(key, _)| !key.ends_with('*') && fits(key, word));
        let look_up = |word: &str| {
            let found = exact(word).or_else(|| self.kinds.iter().find(|(key, _)| fits(key, word)));
            found.map(|(_, slug)| slug.clone())
        };
        look_up(raw)
            .or_else(|| raw.contains('/').then(|| raw.rsplit('/').take(16).find_map(look_up)).flatten())
    }

    /// State of an event: start, end or single; `None` if the device does not report it.
    pub(super) fn state_of(&self, entry: Entry<'_>, event: &EventName, kind: &EntryKind) -> Option<State> {
        let state = kind.state.or_else(|| self.said(entry));
        let default = || self.state.default.as_deref().and_then(State::parse);
        match state.or_else(default) {
            Some(State::End) => Some(State::End),
            _ if self.is_moment(event) => Some(State::Once),
            other => other,
        }
    }

    /// The state that the words of an entry say.
    fn said(&self, entry: Entry<'_>) -> Option<State> {
        let words = &self.state;
        let of = |word: &str| {
            let is = |list: &[String]| list.iter().any(|known| same(known, word));
            if is(&words.end) {
                Some(State::End)
            } else if is(&words.once) {
                Some(State::Once)
            } else {
                is(&words.start).then_some(State::Start)
            }
        };
        let word = entry.text(&words.at);
        word.as_deref().and_then(of).or_else(|| {
            let found = entry.all(&words.any).into_iter().filter_map(text);
            found.filter(|word| word.parse::<f64>().is_err()).find_map(|word| of(&word))
        })
    }

    /// Returns whether a kind is over at once.
    pub(super) fn is_moment(&self, event: &EventName) -> bool {
        event.mode() == Mode::Moment || self.once.iter().any(|slug| slug == event.as_str())
    }
}

/// The last two levels of a topic such as `tns1:RuleEngine/tnsvendor:Detector/Event`, without the prefix; any other word
/// as it is.
fn last_levels(raw: &str) -> &str {
    let levels = raw.rmatch_indices('/').nth(1).map_or(raw, |(at, _)| raw.get(at + 1..).unwrap_or(raw));
    let first = levels.split('/').next().unwrap_or_default();
    let prefix = first.rfind(':').filter(|_| raw.contains('/')).map_or(0, |at| at + 1);
    levels.get(prefix..).unwrap_or(levels)
}

impl StateWords {
    /// A name without a suffix that means start or end.
    fn without_suffix<'w>(&self, raw: &'w str) -> (&'w str, Option<State>) {
        let strip = |list: &[String]| list.iter().find_map(|suffix| stripped(raw, suffix));
        let end = strip(&self.end_suffix).map(|word| (word, Some(State::End)));
        end.or_else(|| strip(&self.start_suffix).map(|word| (word, Some(State::Start))))
            .unwrap_or((raw, None))
    }
}

/// A word without a suffix. A suffix that begins with `_` fits in any case, and after a blank or a dash too.
fn stripped<'w>(word: &'w str, suffix: &str) -> Option<&'w str> {
    let Some(end) = suffix.strip_prefix('_') else {
        return word.strip_suffix(suffix).filter(|rest| !rest.is_empty());
    };
    let at = word.len().checked_sub(end.len())?;
    let (rest, found) = word.split_at_checked(at)?;
    let rest = rest.strip_suffix(['_', '-', ' ']).filter(|rest| !rest.is_empty())?;
    found.eq_ignore_ascii_case(end).then_some(rest)
}
