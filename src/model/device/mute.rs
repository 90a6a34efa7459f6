//! Mutes: alarms of a device, or of one kind of it, that are delivered and marked, but should notify nobody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::EventName;

/// One mute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Muted kind; `None`: every kind.
    pub event: Option<EventName>,
    /// End; `None`: until it is lifted.
    pub until: Option<Timestamp>,
}

/// The mutes of one device, at most one of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mutes(Vec<Mute>);

impl Mutes {
    /// Mutes a kind, or everything; an existing mute gets the new end.
    pub fn set(&mut self, mute: Mute) {
        self.0.retain(|other| other.event != mute.event);
        self.0.push(mute);
        self.0.sort_by(|one, other| one.event.cmp(&other.event));
    }

    /// Lifts the mute of a kind; without a kind all of them. Returns whether there was one.
    pub fn lift(&mut self, event: Option<&EventName>) -> bool {
        let before = self.0.len();
        self.0.retain(|mute| event.is_some() && mute.event.as_ref() != event);
        self.0.len() < before
    }

    /// Returns whether alarms of this kind are muted at a moment.
    #[must_use]
    pub fn cover(&self, event: &EventName, at: Timestamp) -> bool {
        self.at(at).any(|mute| mute.event.as_ref().is_none_or(|muted| muted == event))
    }

    /// Mutes that have not ended at a moment.
    pub fn at(&self, at: Timestamp) -> impl Iterator<Item = &Mute> {
        self.0.iter().filter(move |mute| mute.until.is_none_or(|until| at < until))
    }

    /// Removes ended mutes. Returns whether there was one.
    pub fn expire(&mut self, at: Timestamp) -> bool {
        let before = self.0.len();
        self.0.retain(|mute| mute.until.is_none_or(|until| at < until));
        self.0.len() < before
    }

    /// The next end.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|mute| mute.until).min()
    }

    /// Returns whether there are no mutes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_mute_covers_its_kind_until_its_end() {
        let (person, motion) = (EventName::new("person"), EventName::new("motion"));
        let mut mutes = Mutes::default();
        mutes.set(Mute { event: Some(person.clone()), until: Some(at(100)) });
        assert!(
            mutes.cover(&person, at(99)) && !mutes.cover(&person, at(100)) && !mutes.cover(&motion, at(99))
        );
        mutes.set(Mute { event: Some(person.clone()), until: Some(at(200)) });
        mutes.set(Mute { event: None, until: None });
        assert!(mutes.cover(&motion, at(9_999)));
        assert_eq!((mutes.at(at(150)).count(), mutes.next_end()), (2, Some(at(200))));
        assert!(mutes.expire(at(200)) && !mutes.expire(at(200)));
        assert!(!mutes.lift(Some(&person)) && mutes.lift(None) && mutes.is_empty());
    }
}
