//! Test whether two topic templates could produce the same topic.

use std::collections::HashSet;

use super::{Piece, Placeholder, Template};
use crate::model::device::source::is_reserved;

/// A step of a level's pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A fixed character.
    Char(char),
    /// One or more of the characters that values of placeholders consist of.
    Some,
}

/// The topics that a template makes with any values.
pub struct Pattern(Vec<Level>);

impl Pattern {
    /// The pattern of a template. `base` stands for `{base}`.
    #[must_use]
    pub(super) fn new(template: &Template, base: &str) -> Self {
        Self(levels(template, base))
    }

    /// Returns whether some values make the templates of both the same topic.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| one.meets(other))
    }
}

/// A level as a pattern.
struct Level {
    /// Its steps.
    steps: Vec<Step>,
    /// Set if it is `{source}` alone, which is never a reserved word.
    source: bool,
}

impl Level {
    /// Returns whether some text matches both.
    fn meets(&self, other: &Self) -> bool {
        if self.source && other.is_reserved() || other.source && self.is_reserved() {
            return false;
        }
        let (one, other) = without_equal_front(&self.steps, &other.steps);
        meet(one, other, &mut HashSet::new())
    }

    /// Returns whether it is a reserved word.
    fn is_reserved(&self) -> bool {
        let text: Option<String> = self
            .steps
            .iter()
            .map(|step| match step {
                Step::Char(character) => Some(*character),
                Step::Some => None,
            })
            .collect();
        text.is_some_and(|text| is_reserved(&text))
    }
}

/// Levels of a template, with the base topic filled in.
fn levels(template: &Template, base: &str) -> Vec<Level> {
    let mut levels = Vec::new();
    for pieces in template.levels() {
        let source = matches!(pieces.as_slice(), [Piece::Slot(Placeholder::Source)]);
        let mut steps = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => steps.extend(text.chars().map(Step::Char)),
                Piece::Slot(Placeholder::Base) => steps.extend(base.chars().map(Step::Char)),
                Piece::Slot(_) => steps.push(Step::Some),
            }
        }
        let parts = steps.split(|step| *step == Step::Char('/'));
        levels.extend(parts.map(|steps| Level { steps: steps.to_vec(), source }));
    }
    levels
}

/// The patterns without the fixed characters that both begin with.
fn without_equal_front<'a>(mut one: &'a [Step], mut other: &'a [Step]) -> (&'a [Step], &'a [Step]) {
    while let ([Step::Char(a), one_rest @ ..], [Step::Char(b), other_rest @ ..]) = (one, other)
        && a == b
    {
        (one, other) = (one_rest, other_rest);
    }
    (one, other)
}

/// Returns whether some text matches both patterns. `tried` holds the pairs of remainders examined before.
fn meet(one: &[Step], other: &[Step], tried: &mut HashSet<(usize, usize)>) -> bool {
    if !tried.insert((one.len(), other.len())) {
        return false;
    }
    let (Some((a, one_rest)), Some((b, other_rest))) = (one.split_first(), other.split_first()) else {
        return one.is_empty() && other.is_empty();
    };
    match (a, b) {
        (Step::Char(a), Step::Char(b)) => a == b && meet(one_rest, other_rest, tried),
        (Step::Some, Step::Char(c)) => {
            fills(*c) && (meet(one_rest, other_rest, tried) || meet(one, other_rest, tried))
        }
        (Step::Char(c), Step::Some) => {
            fills(*c) && (meet(one_rest, other_rest, tried) || meet(one_rest, other, tried))
        }
        (Step::Some, Step::Some) => {
            meet(one_rest, other_rest, tried) || meet(one, other_rest, tried) || meet(one_rest, other, tried)
        }
    }
}

/// Returns whether a placeholder can be filled with this character.
fn fills(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use crate::model::template::Template;

    #[track_caller]
    fn check(one: &str, other: &str, expected: bool) {
        let [a, b] = [one, other].map(|text| Template::parse(text, &[]).unwrap().pattern("site/bus"));
        assert_eq!(a.meets(&b), expected, "{one} {other}");
        assert_eq!(b.meets(&a), expected, "{other} {one}");
    }

    #[test]
    fn only_templates_that_can_meet_overlap() {
        check("{base}/{source}/event/{event}", "{base}/{source}/state/{event}", false);
        check("{base}/{source}/{event}", "{base}/{source}/last", true);
        check("{base}/{source}/ev-{event}", "{base}/{source}/last", false);
        check("{base}/{source}/l{event}", "{base}/{source}/{event}st", true);
        check("{base}/{source}/last", "{base}/{source}/last", true);
        check("{base}/{source}/{event}", "{base}/{source}/Last", false);
        check("{base}/{source}/{event}", "site/{vendor}/{source}/{event}", true);
        check("{base}/{source}/state", "{base}/bridge/state", false);
        check("{base}/{source}/state", "{base}/bridge-east/state", false);
        check("{base}/{name}/state", "{base}/bridge/state", true);
        check("{base}/{source}", "{base}/{source}/last", false);
    }
}
