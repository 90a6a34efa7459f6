//! Messages that the far side will never take: telling them from a far side that is ill.

use std::collections::HashSet;

use super::flight::{Flight, Identity};
use crate::outbox::Parking;
use crate::sink::Refusal;

/// The link has to break so often with the same message on its way before messages go one by one.
const BREAKS: u32 = 2;
/// And a message alone on its way so often before it is taken for the cause.
const ALONE: u32 = 3;
/// After so many single ones that got through, the window is opened again.
const TRUSTED: u32 = 32;
/// So many refusals with nothing accepted mean that everything is refused.
const BLOCKED: usize = 3;
/// So many breaks in a row are followed by a new attempt at once, since the rest is to flow on.
const HUNTS: u32 = 12;

/// What is known of messages that break the link or are refused.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    /// Breaks in a row with one and the same message on its way.
    breaks: u32,
    /// What was on its way at the last one.
    last: HashSet<Identity>,
    single: bool,
    single_ok: u32,
    alone: Option<(Identity, u32)>,
    cutter: Option<Cutter>,
    /// A log message was accepted in this session.
    accepted: bool,
    /// Anything was acknowledged in this session: the far side works.
    passed: bool,
    hunts: u32,
    hunting: bool,
    suspects: Vec<Suspect>,
}

/// The message that the far side cuts the link for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cutter {
    pub(crate) flight: Flight,
    /// A stable word for the reason.
    pub(crate) code: &'static str,
    /// The reason in full.
    pub(crate) reason: String,
}

/// A message refused while nothing was accepted yet: whether it is poison shows when something is.
#[derive(Debug, Clone)]
pub(crate) struct Suspect {
    pub(crate) source_no: i64,
    pub(crate) no: i64,
    pub(crate) parking: Parking,
}

/// What to do about a refusal.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Park it: the rest is to flow on.
    Park(Suspect),
    /// Wait and see.
    Suspect,
    /// Everything is refused: stand still.
    Blocked,
}

impl Poison {
    /// A new session: nothing was accepted in it yet.
    pub(crate) fn session(&mut self) {
        self.accepted = false;
        self.passed = false;
        self.suspects.clear();
    }

    /// Messages go one by one.
    pub(crate) fn single(&self) -> bool {
        self.single
    }

    /// Anything was acknowledged.
    pub(crate) fn passed(&mut self) {
        self.passed = true;
        if self.single {
            self.single_ok += 1;
            if TRUSTED <= self.single_ok {
                *self = Self {
                    accepted: self.accepted,
                    passed: true,
                    cutter: self.cutter.take(),
                    suspects: std::mem::take(&mut self.suspects),
                    ..Self::default()
                };
            }
        }
    }

    /// A log message was accepted: those refused before it were refused for themselves.
    pub(crate) fn accepted(&mut self) -> Vec<Suspect> {
        self.accepted = true;
        std::mem::take(&mut self.suspects)
    }

    /// Whether the link broke for a message, it seems, so that the next attempt need not wait. Once per break.
    pub(crate) fn hunting(&mut self) -> bool {
        std::mem::take(&mut self.hunting)
    }

    /// A log message was refused.
    pub(crate) fn refused(&mut self, source_no: i64, no: i64, topic: &str, refusal: &Refusal) -> Verdict {
        let parking = Parking {
            entry: no,
            topic: topic.into(),
            code: refusal.code.into(),
            reason: refusal.reason.clone(),
        };
        let suspect = Suspect { source_no, no, parking };
        if self.accepted || refusal.code != "permission" {
            return Verdict::Park(suspect);
        }
        self.suspects.push(suspect);
        if self.suspects.len() < BLOCKED { Verdict::Suspect } else { Verdict::Blocked }
    }

    /// The link broke with these on their way, in the order they were sent. `too_large`: the far side said why, in the
    /// place of an acknowledgement; since those come in order, it means the first.
    pub(crate) fn broke(&mut self, unsent: &[Flight], too_large: Option<&str>) {
        let messages: Vec<&Flight> =
            unsent.iter().filter(|flight| flight.identity() != Identity::Other).collect();
        let [first, rest @ ..] = messages.as_slice() else { return };
        self.hunts += 1;
        self.hunting = self.passed && self.hunts <= HUNTS;
        if let Some(reason) = too_large {
            self.found(first, "too_large", reason.to_owned());
            return;
        }
        let these: HashSet<Identity> = messages.iter().map(|flight| flight.identity()).collect();
        self.breaks = if self.last.is_disjoint(&these) { 1 } else { self.breaks + 1 };
        self.last = these;
        if BREAKS <= self.breaks {
            self.single = true;
            self.single_ok = 0;
        }
        if !rest.is_empty() || !self.passed {
            return;
        }
        let identity = first.identity();
        let times = match &self.alone {
            Some((same, times)) if *same == identity => times + 1,
            _ => 1,
        };
        self.alone = Some((identity, times));
        if ALONE <= times {
            let reason = "the broker cuts the link whenever this message is sent alone".to_owned();
            self.found(first, "cuts_link", reason);
        }
    }

    fn found(&mut self, flight: &Flight, code: &'static str, reason: String) {
        self.cutter = Some(Cutter { flight: flight.clone(), code, reason });
        self.alone = None;
        self.hunts = 0;
    }

    /// A session held: what breaks the next one is another matter.
    pub(crate) fn held(&mut self) {
        self.hunts = 0;
    }

    /// The message that the far side cuts the link for, once it is found out.
    pub(crate) fn cutter(&mut self) -> Option<Cutter> {
        self.cutter.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(no: i64) -> Flight {
        Flight::Log { source_no: 1, no, topic: "t".into(), part: crate::render::Part::Event, picture: None }
    }

    #[test]
    fn a_message_alone_at_three_breaks_is_the_cause() {
        let mut poison = Poison::default();
        poison.broke(&[log(1), log(2)], None);
        assert!(!poison.single());
        poison.broke(&[log(2), log(3)], None);
        assert!(poison.single());
        for _ in 0..3 {
            assert!(poison.cutter().is_none());
            poison.session();
            poison.passed();
            poison.broke(&[log(1)], None);
            assert!(poison.hunting() && !poison.hunting());
        }
        assert_eq!(poison.cutter().map(|cutter| (cutter.flight, cutter.code)), Some((log(1), "cuts_link")));
    }

    #[test]
    fn a_far_side_that_acknowledges_nothing_accuses_no_message() {
        let mut poison = Poison::default();
        for _ in 0..9 {
            poison.session();
            poison.broke(&[log(1)], None);
            assert!(poison.cutter().is_none() && !poison.hunting());
        }
    }

    #[test]
    fn different_messages_at_each_break_are_an_outage() {
        let mut poison = Poison::default();
        (1..9).for_each(|no| poison.broke(&[log(no)], None));
        assert!(!poison.single());
    }

    #[test]
    fn who_is_too_large_is_the_first_not_acknowledged() {
        let mut poison = Poison::default();
        poison.broke(&[Flight::default(), log(7), log(8)], Some("too large"));
        assert_eq!(poison.cutter().map(|cutter| (cutter.flight, cutter.code)), Some((log(7), "too_large")));
    }

    #[test]
    fn refusals_park_only_where_something_is_accepted() {
        let refusal = Refusal { code: "permission", reason: "no".into() };
        let mut poison = Poison::default();
        assert!(matches!(poison.refused(1, 1, "t", &refusal), Verdict::Suspect));
        assert_eq!(poison.accepted().len(), 1);
        assert!(matches!(poison.refused(1, 2, "t", &refusal), Verdict::Park(_)));
        poison.session();
        assert!(matches!(poison.refused(1, 2, "t", &refusal), Verdict::Suspect));
        assert!(matches!(poison.refused(1, 3, "t", &refusal), Verdict::Suspect));
        assert!(matches!(poison.refused(1, 4, "t", &refusal), Verdict::Blocked));
    }
}
