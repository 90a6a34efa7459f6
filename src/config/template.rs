//! Topic templates: parsed into levels, filled in, and compared, so that no two can ever render one topic. Pure.

use crate::model::source::is_reserved;

/// The longest template, in bytes: filled in it stays far below what brokers take.
const LONGEST_TEMPLATE: usize = 256;

/// A value a template can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placeholder {
    /// The base topic; the only one of several levels.
    Base,
    /// The source.
    Source,
    /// The kind.
    Event,
    /// The identifier of the record.
    Id,
    /// The MAC, twelve hex digits.
    Mac,
    /// The channel.
    Channel,
    /// The device's name as a slug.
    Name,
    /// The vendor.
    Vendor,
}

/// The placeholders as they are written.
const PLACEHOLDERS: [(&str, Placeholder); 8] = [
    ("base", Placeholder::Base),
    ("source", Placeholder::Source),
    ("event", Placeholder::Event),
    ("id", Placeholder::Id),
    ("mac", Placeholder::Mac),
    ("channel", Placeholder::Channel),
    ("name", Placeholder::Name),
    ("vendor", Placeholder::Vendor),
];

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Text as it stands; may hold `/`.
    Text(String),
    /// A value.
    Value(Placeholder),
}

/// A topic template, known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong and the remedy: an unknown placeholder, a lone brace, a wildcard, a leading `$`, an empty level,
    /// or two values in one level (one topic could then be read in two ways).
    pub fn parse(text: &str) -> Result<Self, String> {
        if LONGEST_TEMPLATE < text.len() {
            return Err(format!("it is longer than {LONGEST_TEMPLATE} bytes: shorten it"));
        }
        let template = Self(pieces(text)?);
        // `{base}` is checked as a topic of its own, so any such stands for it here.
        if let Some(problem) = topic_problem(&template.render(|_| "x")) {
            return Err(problem.into());
        }
        let crowded = template.levels("x").iter().any(|level| 1 < level.values);
        if crowded {
            return Err(
                "two placeholders share a level, so topics could be mixed up: part them with /".into()
            );
        }
        let twice = PLACEHOLDERS.iter().find(|(_, placeholder)| 1 < template.count(*placeholder));
        if let Some((name, _)) = twice {
            return Err(format!("{{{name}}} stands twice: once is enough"));
        }
        Ok(template)
    }

    /// Fills the template in. Values must be slugs, hex digits and `-` (the base topic: a checked topic).
    #[must_use]
    pub fn render<'a>(&self, value: impl Fn(Placeholder) -> &'a str) -> String {
        let mut topic = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => topic.push_str(text),
                Piece::Value(placeholder) => topic.push_str(value(*placeholder)),
            }
        }
        topic
    }

    /// Whether it holds a placeholder.
    #[must_use]
    pub fn holds(&self, placeholder: Placeholder) -> bool {
        0 < self.count(placeholder)
    }

    /// How often it holds a placeholder.
    fn count(&self, placeholder: Placeholder) -> usize {
        self.0.iter().filter(|piece| **piece == Piece::Value(placeholder)).count()
    }

    /// Whether some alarm could make both templates render one topic.
    #[must_use]
    pub fn meets(&self, other: &Self, base: &str) -> bool {
        let (ours, theirs) = (self.levels(base), other.levels(base));
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| a.meets(b))
    }

    /// Its levels.
    fn levels(&self, base: &str) -> Vec<Level> {
        let mut levels = vec![Level::default()];
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => push_text(&mut levels, text),
                Piece::Value(Placeholder::Base) => push_text(&mut levels, base),
                Piece::Value(placeholder) => {
                    if let Some(level) = levels.last_mut() {
                        level.values += 1;
                        level.placeholder = Some(*placeholder);
                    }
                }
            }
        }
        levels
    }
}

/// Adds text to the last level, and levels at its slashes.
fn push_text(levels: &mut Vec<Level>, text: &str) {
    for (at, part) in text.split('/').enumerate() {
        if at != 0 {
            levels.push(Level::default());
        }
        if let Some(level) = levels.last_mut() {
            if level.placeholder.is_some() {
                level.suffix.push_str(part)
            } else {
                level.prefix.push_str(part)
            }
        }
    }
}

/// One level: text, a value at most, text.
#[derive(Debug, Default)]
struct Level {
    /// Before the value; all of it when there is none.
    prefix: String,
    /// The value.
    placeholder: Option<Placeholder>,
    /// Behind the value.
    suffix: String,
    /// How many values stand in it.
    values: usize,
}

impl Level {
    /// Whether both could render the same text. Errs on the safe side where both hold values.
    fn meets(&self, other: &Self) -> bool {
        match (self.placeholder, other.placeholder) {
            (None, None) => self.prefix == other.prefix,
            (Some(_), None) => self.makes(&other.prefix),
            (None, Some(_)) => other.makes(&self.prefix),
            (Some(_), Some(_)) => {
                let heads = self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix);
                let tails = self.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&self.suffix);
                heads && tails
            }
        }
    }

    /// Whether its value could make it this text.
    fn makes(&self, text: &str) -> bool {
        let value =
            text.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_suffix(self.suffix.as_str()));
        let Some(value) = value.filter(|value| !value.is_empty()) else { return false };
        // A device without a MAC or a name has its source in their place, so only a bare source is told apart.
        let bare = self.prefix.is_empty() && self.suffix.is_empty();
        let never = bare && self.placeholder == Some(Placeholder::Source) && is_reserved(value);
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        !never && value.chars().all(fits)
    }
}

/// Parts a text into pieces.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let known = || {
        let names: Vec<String> = PLACEHOLDERS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
        format!("use {}", names.join(" "))
    };
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((head, tail)) = rest.split_once(['{', '}']) {
        if rest.as_bytes().get(head.len()) == Some(&b'}') {
            return Err(format!("a }} without {{: {}", known()));
        }
        let (name, after) = tail.split_once('}').ok_or_else(|| format!("a {{ without }}: {}", known()))?;
        let found = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
        let (_, placeholder) = found.ok_or_else(|| format!("{{{name}}} is no placeholder: {}", known()))?;
        if !head.is_empty() {
            pieces.push(Piece::Text(head.to_owned()));
        }
        pieces.push(Piece::Value(*placeholder));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The longest topic a user may write, in bytes: MQTT allows 65,535, brokers often less; values come on top.
const LONGEST: usize = 1_024;

/// Why a text is no topic to publish to; `None` if it is one.
#[must_use]
pub fn topic_problem(text: &str) -> Option<&'static str> {
    if text.split('/').any(str::is_empty) {
        return Some("it has an empty level: no / at the ends and none doubled");
    }
    if text.starts_with('$') {
        return Some("topics that begin with $ belong to the broker");
    }
    if text.contains(['+', '#']) {
        return Some("+ and # are wildcards: leave them out");
    }
    if text.contains(['{', '}']) {
        return Some("braces belong to templates: leave them out");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some("blanks and control characters are not allowed");
    }
    (LONGEST < text.len()).then_some("it is longer than 1,024 bytes")
}

#[cfg(test)]
mod tests {
    use super::{Placeholder, Template};

    #[test]
    fn a_template_is_filled_in() {
        let template = Template::parse("{base}/{vendor}/cam-{source}/event/{event}").unwrap();
        let topic = template.render(|placeholder| match placeholder {
            Placeholder::Base => "site/alarmbus",
            Placeholder::Source => "98ba5f8b1003",
            Placeholder::Event => "person",
            _ => "vigi",
        });
        assert_eq!(topic, "site/alarmbus/vigi/cam-98ba5f8b1003/event/person");
    }

    #[test]
    fn what_could_escape_is_refused() {
        for (text, reason) in [
            ("{base}/{sorce}", "{sorce} is no placeholder"),
            ("{base}/{source", "without }"),
            ("{base}/source}", "without {"),
            ("{base}/+/{source}", "wildcards"),
            ("{source}/#", "wildcards"),
            ("$SYS/{source}", "begin with $"),
            ("{base}//{source}", "empty level"),
            ("/{source}", "empty level"),
            ("{source}/", "empty level"),
            ("", "empty level"),
            ("{base}/{source}_{event}", "share a level"),
            ("a b/{source}", "blanks"),
            ("{source}/{event}/{source}", "stands twice"),
        ] {
            let problem = Template::parse(text).unwrap_err();
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }

    #[track_caller]
    fn meets(a: &str, b: &str) -> bool {
        Template::parse(a).unwrap().meets(&Template::parse(b).unwrap(), "home/alarmbus")
    }

    #[test]
    fn templates_meet_only_where_a_value_could_be_the_others_text() {
        assert!(meets("{base}/{source}/{event}", "{base}/{source}/last"));
        assert!(meets("{base}/{source}/{event}", "home/{source}/{mac}/{event}"));
        assert!(meets("{base}/{source}", "home/{vendor}/{source}"));
        assert!(meets("a-{source}", "a-b{event}"));
        assert!(!meets("a-{source}", "b-{event}"));
        assert!(!meets("{base}/{source}/event/{event}", "{base}/{source}/state/{event}"));
        assert!(!meets("{base}/{source}/state", "{base}/bridge/state"), "no source is called bridge");
        assert!(meets("{base}/{name}/{source}", "{base}/bridge/state"));
    }
}
