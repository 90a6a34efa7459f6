//! Messages that the far side will never take: telling them from a far side that is ill.

use super::flight::{Flight, Identity};
use crate::outbox::Parking;
use crate::sink::Refusal;

/// The link has to break so often with messages on their way before they are sent one by one.
const BREAKS: u32 = 2;
/// And a message alone on its way so often before it is taken for the cause.
const ALONE: u32 = 3;
/// After so many single ones that got through, the window is opened again.
const TRUSTED: u32 = 32;
/// So many refusals with nothing accepted mean that everything is refused.
const BLOCKED: usize = 3;

/// What is known of messages that break the link or are refused.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    breaks: u32,
    single: bool,
    single_ok: u32,
    alone: Option<(Identity, u32)>,
    cutter: Option<Flight>,
    accepted: bool,
    suspects: Vec<Suspect>,
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
        self.suspects.clear();
    }

    /// Messages go one by one.
    pub(crate) fn single(&self) -> bool {
        self.single
    }

    /// A log message was accepted: those refused before it were refused for themselves.
    pub(crate) fn accepted(&mut self) -> Vec<Suspect> {
        self.accepted = true;
        self.breaks = 0;
        if self.single {
            self.single_ok += 1;
            if TRUSTED <= self.single_ok {
                self.single = false;
            }
        }
        std::mem::take(&mut self.suspects)
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

    /// The link broke with these on their way.
    pub(crate) fn broke(&mut self, flying: &[Flight]) {
        let heavy: Vec<&Flight> = flying.iter().filter(|flight| flight.is_heavy()).collect();
        let [first, rest @ ..] = heavy.as_slice() else { return };
        self.breaks += 1;
        if BREAKS <= self.breaks {
            self.single = true;
            self.single_ok = 0;
        }
        if !rest.is_empty() {
            return;
        }
        let identity = first.identity();
        let times = match &self.alone {
            Some((same, times)) if *same == identity => times + 1,
            _ => 1,
        };
        self.alone = Some((identity, times));
        if ALONE <= times {
            self.cutter = Some((*first).clone());
            self.alone = None;
        }
    }

    /// The message that the far side cuts the link for, once it is found out.
    pub(crate) fn cutter(&mut self) -> Option<Flight> {
        self.cutter.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(no: i64) -> Flight {
        Flight::Log { source_no: 1, no, topic: "t".into(), event: true, picture: None }
    }

    #[test]
    fn a_message_alone_at_three_breaks_is_the_cause() {
        let mut poison = Poison::default();
        poison.broke(&[log(1), log(2)]);
        assert!(!poison.single());
        poison.broke(&[log(1), log(2)]);
        assert!(poison.single());
        for _ in 0..3 {
            assert!(poison.cutter().is_none());
            poison.broke(&[log(1)]);
        }
        assert_eq!(poison.cutter(), Some(log(1)));
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
