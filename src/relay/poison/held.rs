//! Log messages that were refused, and the proof that the broker accepts log messages at all.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use crate::outbox::Parking;

/// Maximum number of messages set aside; at this number no more of the log is sent until the cause is clear.
const CAPACITY: usize = 256;
/// Number of refused messages, with none accepted and none left to try, from which on the broker is considered to reject everything.
const MIN_REFUSED: usize = 3;
/// Maximum number of accepted topics that are remembered.
const MAX_ACCEPTED: usize = 1_024;

/// A log message to be parked, or set aside until it is known whether it is to be parked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suspect {
    /// Number of its source.
    pub(crate) source_no: i64,
    /// Number of its entry.
    pub(crate) no: i64,
    /// The row that parks it.
    pub(crate) parking: Parking,
}

/// Log messages set aside, over all sessions since the first of them was refused.
#[derive(Debug, Default)]
pub(crate) struct HeldMessages {
    /// Messages by entry and topic.
    messages: BTreeMap<(i64, String), HeldMessage>,
}

/// One message set aside.
#[derive(Debug)]
struct HeldMessage {
    /// The message.
    suspect: Suspect,
    /// True if it is parked whatever happens to other messages.
    certain: bool,
    /// True if the log lane of this session has reached it, so it can be parked.
    met: bool,
}

impl HeldMessages {
    /// Begins a session, whose log lane has reached no message yet.
    pub(crate) fn begin(&mut self) {
        self.messages.values_mut().for_each(|held| held.met = false);
    }

    /// Sets aside a message that the log lane has reached. `certain`: it is parked whatever happens to other messages,
    /// when the lane reaches it again.
    pub(crate) fn add(&mut self, suspect: Suspect, certain: bool) {
        if !self.is_full() {
            let key = (suspect.no, suspect.parking.topic.clone());
            self.messages.insert(key, HeldMessage { suspect, certain, met: !certain });
        }
    }

    /// Decides on a message that the log lane reaches: it is returned if it is to be parked, and stays set aside
    /// otherwise.
    pub(crate) fn decide(&mut self, no: i64, topic: &str) -> Meeting {
        if self.messages.is_empty() {
            return Meeting::Unknown;
        }
        let key = (no, topic.to_owned());
        match self.messages.get_mut(&key) {
            None => Meeting::Unknown,
            Some(held) if !held.certain => {
                held.met = true;
                Meeting::Hold
            }
            Some(_) => {
                self.messages.remove(&key).map_or(Meeting::Unknown, |held| Meeting::Park(held.suspect))
            }
        }
    }

    /// Marks all messages set aside to be parked, and returns those that can be parked now.
    pub(crate) fn make_certain(&mut self) -> Vec<Suspect> {
        let (met, others) = std::mem::take(&mut self.messages).into_iter().partition(|(_, held)| held.met);
        self.messages = others;
        self.messages.values_mut().for_each(|held| held.certain = true);
        let met: BTreeMap<_, HeldMessage> = met;
        met.into_values().map(|held| held.suspect).collect()
    }

    /// Returns whether no more messages can be set aside.
    pub(crate) fn is_full(&self) -> bool {
        CAPACITY <= self.messages.len()
    }

    /// Returns whether enough messages were refused to conclude that the broker refuses all, if none is left to try.
    pub(crate) fn is_enough(&self) -> bool {
        MIN_REFUSED <= self.messages.values().filter(|held| !held.certain).count()
    }

    /// The broker's reason for the last one.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.messages.values().next_back().map(|held| held.suspect.parking.reason.as_str())
    }

    /// Removes messages that are not certain; they are sent again.
    pub(crate) fn clear(&mut self) {
        self.messages.retain(|_, held| held.certain);
    }
}

/// Decision on a message that the log lane reaches.
#[derive(Debug, PartialEq)]
pub(crate) enum Meeting {
    /// Nothing is known of it.
    Unknown,
    /// The message stays set aside.
    Hold,
    /// The message is to be parked.
    Park(Suspect),
}

/// Evidence that the broker accepts log messages of this user.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// True if a log message was accepted in this session, or in an earlier one that a refused message ended.
    given: bool,
    /// Hashes of topics accepted since.
    topics: HashSet<u64>,
    /// Hashes of topics accepted since, oldest first.
    order: VecDeque<u64>,
    /// Makes the hashes.
    hasher: RandomState,
}

impl Proof {
    /// Records an accepted log message.
    pub(crate) fn accepted(&mut self, topic: &str) {
        self.given = true;
        let hash = self.hasher.hash_one(topic);
        if self.topics.insert(hash) {
            self.order.push_back(hash);
            if MAX_ACCEPTED < self.order.len()
                && let Some(oldest) = self.order.pop_front()
            {
                self.topics.remove(&oldest);
            }
        }
    }

    /// Records a refusal. If a message of the topic was accepted before, permissions have changed, and earlier
    /// acceptances prove nothing.
    pub(crate) fn refused(&mut self, topic: &str) {
        if self.has(topic) {
            self.clear();
        }
    }

    /// Returns whether a log message of this topic was accepted.
    pub(crate) fn has(&self, topic: &str) -> bool {
        self.topics.contains(&self.hasher.hash_one(topic))
    }

    /// Returns whether log messages are accepted.
    pub(crate) fn is_given(&self) -> bool {
        self.given
    }

    /// Resets the proof for a new connection, since the broker's permissions may have changed.
    pub(crate) fn clear(&mut self) {
        self.given = false;
        self.topics.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(no: i64, topic: &str) -> Suspect {
        let parking =
            Parking { entry: no, topic: topic.into(), code: "permission".into(), reason: "no".into() };
        Suspect { source_no: 1, no, parking }
    }

    #[test]
    fn what_is_set_aside_is_bounded() {
        let mut held = HeldMessages::default();
        (0..1_000).for_each(|no| held.add(suspect(no, "t"), false));
        assert!(held.is_full() && held.messages.len() == CAPACITY);
        held.clear();
        assert!(!held.is_enough() && !held.is_full());
    }

    #[test]
    fn a_message_is_parked_when_the_lane_comes_to_it() {
        let mut held = HeldMessages::default();
        held.add(suspect(1, "t"), false);
        held.begin();
        held.add(suspect(2, "t"), false);
        assert_eq!(held.make_certain(), [suspect(2, "t")]);
        assert_eq!(held.decide(2, "t"), Meeting::Unknown);
        assert_eq!(held.decide(1, "other"), Meeting::Unknown);
        assert_eq!(held.decide(1, "t"), Meeting::Park(suspect(1, "t")));
        assert_eq!(held.decide(1, "t"), Meeting::Unknown);
    }

    #[test]
    fn one_message_refused_many_times_is_one() {
        let mut held = HeldMessages::default();
        (0..9).for_each(|_| held.add(suspect(1, "t"), false));
        assert!(!held.is_enough());
        (1..4).for_each(|no| held.add(suspect(no, "t"), false));
        assert!(held.is_enough());
    }

    #[test]
    fn a_topic_refused_after_it_was_accepted_takes_the_proof_away() {
        let mut proof = Proof::default();
        proof.accepted("a");
        proof.refused("b");
        assert!(proof.is_given());
        proof.refused("a");
        assert!(!proof.is_given());
    }

    #[test]
    fn accepted_topics_are_bounded() {
        let mut proof = Proof::default();
        (0..9_999).for_each(|no| proof.accepted(&no.to_string()));
        assert_eq!((proof.topics.len(), proof.order.len()), (MAX_ACCEPTED, MAX_ACCEPTED));
    }
}
