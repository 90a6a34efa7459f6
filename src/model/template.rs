//! Topic templates: `{base}/{source}/event/{event}`, parsed and checked once, then filled with safe text only.

mod overlap;
mod placeholder;

use placeholder::SPELLINGS;

pub use overlap::Pattern;
pub use placeholder::{Placeholder, PlaceholderValues};

/// Maximum length of a template in bytes: with every placeholder at its longest, a topic stays below 1 KiB.
pub const MAX_TEMPLATE_BYTES: usize = 256;

/// Reason why a text is not a topic template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A required placeholder is missing.
    #[error("it must contain {0}")]
    Missing(Placeholder),
    /// The text in braces is not a placeholder.
    #[error(
        "{{{0}}} is not a placeholder: use {{base}} {{source}} {{event}} {{id}} {{mac}} {{channel}} {{name}} {{vendor}}"
    )]
    Unknown(String),
    /// A brace is not closed or not opened.
    #[error("a brace has no other half")]
    Brace,
    /// A placeholder occurs twice.
    #[error("{0} is given twice")]
    Twice(Placeholder),
    /// Two placeholders of one level have no separator.
    #[error("{0} and {1} run together; put a \"/\" or a \"-\" between them")]
    Joined(Placeholder, Placeholder),
    /// A topic that is the same for all messages has a placeholder.
    #[error("braces belong to templates: leave them out")]
    Braces,
    /// A character is not allowed in topics.
    #[error("{0:?} is not allowed in a topic to publish to: leave it out")]
    Character(char),
    /// Topics that begin with `$` belong to the broker.
    #[error("it begins with \"$\"; such topics belong to the broker")]
    Dollar,
    /// A level is empty: two slashes in a row, or one at an end.
    #[error("a level is empty: take out the \"/\" at its beginning, its end, or the second of two in a row")]
    EmptyLevel,
    /// Longer than [`MAX_TEMPLATE_BYTES`].
    #[error("it is longer than 256 bytes")]
    TooLong,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Fixed text.
    Text(String),
    /// A placeholder.
    Slot(Placeholder),
}

/// A checked template. With any values, the result is a valid topic with the same number of levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Levels, each a list of pieces.
    levels: Vec<Vec<Piece>>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Returns an error when a `required` placeholder is missing, or the text could make a topic that is invalid or
    /// ambiguous.
    pub fn parse(text: &str, required: &[Placeholder]) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong);
        }
        if text.starts_with('$') {
            return Err(TemplateError::Dollar);
        }
        let refused = |c: &char| matches!(c, '+' | '#') || c.is_control() || c.is_whitespace();
        if let Some(character) = text.chars().find(refused) {
            return Err(TemplateError::Character(character));
        }
        let levels = text.split('/').map(parse_level).collect::<Result<Vec<_>, _>>()?;
        let template = Self { levels };
        for (_, placeholder) in SPELLINGS {
            let times = template.slots().filter(|slot| *slot == placeholder).count();
            if times > 1 {
                return Err(TemplateError::Twice(placeholder));
            }
            if times == 0 && required.contains(&placeholder) {
                return Err(TemplateError::Missing(placeholder));
            }
        }
        Ok(template)
    }

    /// Parses a topic that is the same for all messages.
    ///
    /// # Errors
    /// Returns an error when it is not a topic to publish to.
    pub fn topic(text: &str) -> Result<Self, TemplateError> {
        let topic = Self::parse(text, &[])?;
        if topic.slots().next().is_some() { Err(TemplateError::Braces) } else { Ok(topic) }
    }

    /// The topics that it makes with any values, to be compared with those of another template. `base` stands for
    /// `{base}`.
    #[must_use]
    pub fn pattern(&self, base: &str) -> Pattern {
        Pattern::new(self, base)
    }

    /// Returns whether it contains a placeholder.
    #[must_use]
    pub fn contains(&self, placeholder: Placeholder) -> bool {
        self.slots().any(|slot| slot == placeholder)
    }

    /// The topic for these values.
    #[must_use]
    pub fn fill(&self, values: &PlaceholderValues<'_>) -> String {
        self.join(values, |_| false)
    }

    /// Subscription filter for all kinds: each level that depends on the message is a `+`.
    #[must_use]
    pub fn filter(&self, values: &PlaceholderValues<'_>) -> String {
        self.join(values, |level| level.iter().any(varies))
    }

    /// Subscription filter for one kind: only a level with the identifier is a `+`.
    #[must_use]
    pub fn filter_one(&self, values: &PlaceholderValues<'_>) -> String {
        self.join(values, |level| level.contains(&Piece::Slot(Placeholder::Id)))
    }

    /// The template with each level that depends on the message replaced by a free one, as in
    /// [`filter`](Self::filter).
    #[must_use]
    pub fn widened(&self) -> Self {
        let levels = self.levels.iter().map(|level| match level.iter().find(|piece| varies(piece)) {
            Some(piece) => vec![piece.clone()],
            None => level.clone(),
        });
        Self { levels: levels.collect() }
    }

    /// The levels.
    #[must_use]
    pub fn levels(&self) -> &[Vec<Piece>] {
        &self.levels
    }

    /// Fills the levels; those that `wild` selects become `+`.
    fn join(&self, values: &PlaceholderValues<'_>, wild: impl Fn(&[Piece]) -> bool) -> String {
        let mut topic = String::with_capacity(64);
        for level in &self.levels {
            if !topic.is_empty() {
                topic.push('/');
            }
            if wild(level) {
                topic.push('+');
                continue;
            }
            for piece in level {
                match piece {
                    Piece::Text(text) => topic.push_str(text),
                    Piece::Slot(slot) => values.push(*slot, &mut topic),
                }
            }
        }
        topic
    }

    /// Returns whether it contains more of a device than its source.
    #[must_use]
    pub fn names_device(&self) -> bool {
        let of_device = [Placeholder::Mac, Placeholder::Channel, Placeholder::Name, Placeholder::Vendor];
        self.slots().any(|slot| of_device.contains(&slot))
    }

    /// The placeholders, in order.
    fn slots(&self) -> impl Iterator<Item = Placeholder> {
        self.levels.iter().flatten().filter_map(|piece| match piece {
            Piece::Slot(slot) => Some(*slot),
            Piece::Text(_) => None,
        })
    }
}

/// Returns whether a piece depends on the message, not only on the device.
fn varies(piece: &Piece) -> bool {
    matches!(piece, Piece::Slot(Placeholder::Event | Placeholder::Id))
}

/// Reads one level.
fn parse_level(text: &str) -> Result<Vec<Piece>, TemplateError> {
    if text.is_empty() {
        return Err(TemplateError::EmptyLevel);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, braced) = rest.split_once('{').map_or((rest, None), |(plain, tail)| (plain, Some(tail)));
        if plain.contains('}') {
            return Err(TemplateError::Brace);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.into()));
        }
        let Some(braced) = braced else { break };
        let (name, tail) = braced.split_once('}').ok_or(TemplateError::Brace)?;
        let slot = SPELLINGS.iter().find(|(spelling, _)| *spelling == name).map(|(_, slot)| *slot);
        pieces.push(Piece::Slot(slot.ok_or_else(|| TemplateError::Unknown(name.into()))?));
        rest = tail;
    }
    keeps_apart(&pieces)?;
    Ok(pieces)
}

/// Checks that two placeholders of one level have a `-` between them: slugs have none, so the level can be parsed in
/// one way only, and two devices never share a topic.
fn keeps_apart(pieces: &[Piece]) -> Result<(), TemplateError> {
    let mut last = None;
    for piece in pieces {
        match piece {
            Piece::Text(text) if text.contains('-') => last = None,
            Piece::Text(_) | Piece::Slot(Placeholder::Base) => {}
            Piece::Slot(slot) => {
                if let Some(before) = last.replace(*slot) {
                    return Err(TemplateError::Joined(before, *slot));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Placeholder, PlaceholderValues, Template, TemplateError};
    use crate::model::testing;
    use crate::model::{EventName, Source};

    #[track_caller]
    fn refused(text: &str, error: &TemplateError) {
        assert_eq!(Template::parse(text, &[Placeholder::Source]).as_ref(), Err(error), "{text}");
    }

    #[test]
    fn what_could_make_a_bad_topic_is_refused() {
        refused("{base}/x", &TemplateError::Missing(Placeholder::Source));
        refused("{source}/{evnt}", &TemplateError::Unknown("evnt".into()));
        refused("{source}/{event", &TemplateError::Brace);
        refused("{source}/event}", &TemplateError::Brace);
        refused("{source}/{source}", &TemplateError::Twice(Placeholder::Source));
        refused("{source}{event}", &TemplateError::Joined(Placeholder::Source, Placeholder::Event));
        refused("{source}_{event}", &TemplateError::Joined(Placeholder::Source, Placeholder::Event));
        refused("{source}/+", &TemplateError::Character('+'));
        refused("{source}/#", &TemplateError::Character('#'));
        refused("{source}/\0", &TemplateError::Character('\0'));
        refused("{source}/a b", &TemplateError::Character(' '));
        assert_eq!(Template::topic("a/{source}"), Err(TemplateError::Braces));
        refused("$SYS/{source}", &TemplateError::Dollar);
        for text in ["/{source}", "{source}/", "{base}//{source}"] {
            refused(text, &TemplateError::EmptyLevel);
        }
        refused(&format!("{{source}}/{}", "x".repeat(256)), &TemplateError::TooLong);
    }

    #[test]
    fn every_placeholder_is_filled_with_safe_text() {
        let mut alarm = testing::person();
        alarm.device.name = "../#/Front+door".into();
        let event = EventName::new("person");
        let values = PlaceholderValues {
            base: "site/a",
            source: &alarm.source,
            event: Some(&event),
            id: Some(alarm.id),
            device: Some(&alarm.device),
        };
        let template =
            Template::parse("{base}/{vendor}/{name}-{source}/{mac}/{channel}/ev_{event}/{id}", &[]).unwrap();
        let head = "site/a/vigi/front_door-98ba5f8b1003/98ba5f8b1003/1";
        assert_eq!(template.fill(&values), format!("{head}/ev_person/{}", alarm.id));
        assert_eq!(template.filter(&values), format!("{head}/+/+"));
    }

    #[test]
    fn a_device_of_which_nothing_is_known_has_topics_too() {
        let source = Source::of_ip("10.0.0.7");
        let values = PlaceholderValues { base: "a", source: &source, event: None, id: None, device: None };
        let template = Template::parse("{base}/{mac}/{name}/{channel}/{vendor}", &[]).unwrap();
        assert_eq!(template.fill(&values), "a/ip-10-0-0-7/ip-10-0-0-7/0/unknown");
    }
}
