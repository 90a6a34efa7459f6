//! Log messages that a receiver failed to take, and the search for those that it never takes. Pure.
//!
//! Either the receiver is out of order, or the message is the cause. A failed message is sent again after a pause, and
//! nothing overtakes it. After [`ROUNDS_IN_ORDER`] rounds, or one that took [`LONG_ATTEMPT`], it is set aside and the
//! next messages are tried. If one of them is accepted, the receiver works, and the messages set aside are parked
//! after [`PROOFS`] more failures. Otherwise all are sent again in order after the pause; each such round tries more
//! messages than the one before.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::poison::Suspect;
use crate::outbox::Parking;
use crate::sink::{Failure, FailureKind, RefusalCode};

mod session;
#[cfg(test)]
mod tests;

/// Number of rounds in which nothing is sent but the message that failed.
const ROUNDS_IN_ORDER: u32 = 2;
/// Number of such rounds while the receiver asks to retry later.
const BUSY_ROUNDS_IN_ORDER: u32 = 6;
/// Time since the first attempt from which on the next messages are tried.
const LONG_ATTEMPT: Duration = Duration::from_secs(4);
/// Maximum number of messages that are remembered.
const CAPACITY: usize = 256;
/// Maximum number of messages set aside in one round.
const MAX_ASIDE: usize = 64;
/// The same limit while the receiver refuses login or address, since it may lock out a client that tries often.
const MAX_ASIDE_OF_ACCESS: usize = 2;
/// Failures of a message set aside, while others are accepted, after which it is parked.
const PROOFS: u32 = 3;
/// Consecutive attempts without an answer after which a message does not begin a session.
const SILENT: u32 = 3;
/// The first pause; it doubles with each further round.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, unless the receiver asks for a longer one.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Log messages that the receiver failed to take, over all sessions.
#[derive(Debug, Default)]
pub(crate) struct FailingMessages {
    /// Messages by number of their entry.
    messages: BTreeMap<i64, FailingMessage>,
    /// Consecutive rounds in which no message was accepted.
    rounds: u32,
    /// True if a message was accepted since the first of these was set aside, and none but these failed since.
    works: bool,
    /// Time before which nothing is sent.
    wait: Option<Instant>,
    /// Time at which messages set aside are sent again in order.
    retry: Option<Instant>,
}

/// One message that failed.
#[derive(Debug)]
struct FailingMessage {
    /// Number of its source.
    source_no: i64,
    /// Time of the first attempt's end.
    since: Instant,
    /// Consecutive attempts without an answer.
    silent: u32,
    /// True if later messages of its source are sent before it.
    aside: bool,
    /// Failures since it was set aside, while others were accepted.
    proofs: u32,
    /// Time of its next attempt, while others are accepted.
    next: Option<Instant>,
}

/// A failed message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
    /// Number of its source.
    pub(crate) source_no: i64,
    /// Number of its entry.
    pub(crate) no: i64,
    /// Its topic.
    pub(crate) topic: &'a str,
    /// Duration of the attempt.
    pub(crate) elapsed: Duration,
}

/// Treatment of a message that failed.
#[derive(Debug, PartialEq)]
pub(crate) enum AfterFailure {
    /// Set it aside; the next message is tried at once.
    SetAside,
    /// Send it and those set aside again in order, after this pause.
    Pause(Duration),
    /// Park it: the receiver takes others and never this one.
    Park(Suspect),
}

impl FailingMessages {
    /// Begins a session or reloads the log lane: no message is set aside.
    pub(crate) fn begin(&mut self) {
        self.messages.values_mut().for_each(|message| message.aside = false);
        self.retry = None;
    }

    /// Returns true if a message that the log lane reaches is set aside without an attempt, because no connection
    /// survived it.
    pub(crate) fn sets_aside(&mut self, no: i64, now: Instant) -> bool {
        let Some(message) = self.messages.get_mut(&no).filter(|message| SILENT <= message.silent) else {
            return false;
        };
        // It is tried when nothing else is left.
        message.silent = 0;
        message.aside = true;
        self.retry.get_or_insert(now + MIN_PAUSE);
        true
    }

    /// Decides on a message that failed.
    pub(crate) fn failed(&mut self, failed: Failed<'_>, failure: &Failure, now: Instant) -> AfterFailure {
        let known = self.messages.contains_key(&failed.no);
        let aside = self.messages.values().filter(|message| message.aside).count();
        let retry_after = failure.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        let pause = retry_after.max(doubled(self.rounds));
        let works = self.works && known;
        self.works = works;
        let message = self.messages.entry(failed.no).or_insert(FailingMessage {
            source_no: failed.source_no,
            since: now.checked_sub(failed.elapsed).unwrap_or(now),
            silent: 0,
            aside: false,
            proofs: 0,
            next: None,
        });
        message.silent = if failure.kind == FailureKind::NoAnswer { message.silent + 1 } else { 0 };
        if works {
            message.proofs += 1;
            if PROOFS <= message.proofs && failure.kind != FailureKind::Busy {
                self.messages.remove(&failed.no);
                return AfterFailure::Park(suspect(failed, failure));
            }
            message.aside = true;
            message.next = Some(now + retry_after.max(doubled(message.proofs)));
            return AfterFailure::SetAside;
        }
        let long = LONG_ATTEMPT <= now.duration_since(message.since);
        if message.aside {
            // Later ones of its source were accepted, so it stays aside.
            message.next = Some(now + pause);
            self.rounds = self.rounds.saturating_add(1);
            return AfterFailure::SetAside;
        }
        if aside < most_aside(self.rounds, failure, long) {
            (message.aside, message.next) = (true, None);
            self.retry = self.retry.max(Some(now + pause));
            return AfterFailure::SetAside;
        }
        self.rounds = self.rounds.saturating_add(1);
        self.wait = Some(now + pause);
        self.retry = None;
        while CAPACITY < self.messages.len() {
            self.messages.pop_first();
        }
        AfterFailure::Pause(pause)
    }

    /// Records that a message was accepted, so the receiver works.
    pub(crate) fn accepted(&mut self, no: i64, now: Instant) {
        self.rounds = 0;
        self.wait = None;
        if self.messages.remove(&no).is_some_and(|message| message.aside) || self.messages.is_empty() {
            return;
        }
        self.retry = None;
        if !std::mem::replace(&mut self.works, true) {
            for message in self.messages.values_mut() {
                message.proofs = 0;
                message.next = Some(now + MIN_PAUSE);
            }
        }
    }

    /// The message set aside that is to be sent again now, with its source.
    pub(crate) fn due(&self, now: Instant) -> Option<(i64, i64)> {
        let due = |message: &FailingMessage| message.aside && message.next.is_some_and(|next| next <= now);
        let mut due = self.messages.iter().filter(|(_, message)| due(message));
        due.next().map(|(no, message)| (message.source_no, *no))
    }

    /// Source and number of each message set aside, in order.
    pub(crate) fn aside(&self) -> Vec<(i64, i64)> {
        let aside = self.messages.iter().filter(|(_, message)| message.aside);
        aside.map(|(no, message)| (message.source_no, *no)).collect()
    }

    /// Records that a message is sent again in order.
    pub(crate) fn back_in_order(&mut self, no: i64) {
        if let Some(message) = self.messages.get_mut(&no) {
            (message.aside, message.next) = (false, None);
        }
    }

    /// Keeps a message aside until a time, since later ones of its source were accepted.
    pub(crate) fn stays_aside(&mut self, no: i64, until: Instant) {
        if let Some(message) = self.messages.get_mut(&no) {
            message.next = Some(message.next.map_or(until, |next| next.max(until)));
        }
    }

    /// Returns true when messages set aside are due in order, since no other message was left to try.
    pub(crate) fn round_is_over(&mut self, now: Instant) -> bool {
        let over = self.retry.is_some_and(|retry| retry <= now);
        if over {
            self.rounds = self.rounds.saturating_add(1);
            self.retry = None;
        }
        over
    }

    /// Returns true while nothing is sent.
    pub(crate) fn waits(&self, now: Instant) -> bool {
        self.wait.is_some_and(|wait| now < wait)
    }

    /// Returns true if a message was accepted since others were set aside.
    pub(crate) fn works(&self) -> bool {
        self.works
    }

    /// Time at which something is due next.
    pub(crate) fn wake(&self, now: Instant) -> Option<Instant> {
        let wait = self.wait.filter(|wait| now < *wait);
        let next = self.messages.values().filter(|message| message.aside).filter_map(|message| message.next);
        wait.or_else(|| next.chain(self.retry).min())
    }

    /// Forgets a message that was refused, or whose entry is gone.
    pub(crate) fn forget(&mut self, no: i64) {
        self.messages.remove(&no);
    }
}

/// Number of messages that may be set aside after this number of rounds. `long`: the message was first tried some time
/// ago.
fn most_aside(rounds: u32, failure: &Failure, long: bool) -> usize {
    let most = |in_order: u32| rounds.checked_sub(in_order).map_or(0, |rounds| 1_usize << rounds.min(16));
    match failure.kind {
        FailureKind::Busy => most(BUSY_ROUNDS_IN_ORDER).min(1),
        FailureKind::Access => most(ROUNDS_IN_ORDER).min(MAX_ASIDE_OF_ACCESS),
        _ if failure.retry_after.is_some() => most(BUSY_ROUNDS_IN_ORDER).min(MAX_ASIDE),
        FailureKind::Answer | FailureKind::NoAnswer => {
            most(ROUNDS_IN_ORDER).clamp(usize::from(long), MAX_ASIDE)
        }
    }
}

/// The pause after this number of rounds.
fn doubled(rounds: u32) -> Duration {
    MIN_PAUSE.saturating_mul(1_u32 << rounds.min(16)).min(MAX_PAUSE)
}

/// The row that parks a message.
fn suspect(failed: Failed<'_>, failure: &Failure) -> Suspect {
    let code = match failure.kind {
        FailureKind::NoAnswer => RefusalCode::NoAnswer,
        FailureKind::Answer | FailureKind::Busy | FailureKind::Access => RefusalCode::Failed,
    };
    let parking = Parking {
        entry: failed.no,
        topic: failed.topic.to_owned(),
        code: code.as_str().into(),
        reason: failure.reason.clone(),
    };
    Suspect { source_no: failed.source_no, no: failed.no, parking }
}
