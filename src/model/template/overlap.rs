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

/// Returns whether some values make both templates the same topic. `base` stands for `{base}` in both.
#[must_use]
pub(super) fn overlap(one: &Template, other: &Template, base: &str) -> bool {
    let (one, other) = (levels(one, base), levels(other, base));
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.meets(other))
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
        meet(&self.steps, &other.steps, &mut HashSet::new())
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
    use super::overlap;
    use crate::model::template::Template;

    #[track_caller]
    fn check(one: &str, other: &str, expected: bool) {
        let (a, b) = (Template::parse(one, &[]).unwrap(), Template::parse(other, &[]).unwrap());
        assert_eq!(overlap(&a, &b, "site/bus"), expected, "{one} {other}");
        assert_eq!(overlap(&b, &a, "site/bus"), expected, "{other} {one}");
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
