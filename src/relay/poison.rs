//! Detection of messages that the broker always refuses (poison messages), as opposed to a broker that is out of order.
//!
//! A refusal is evidence against a message, even when the broker ends the connection for it. Evidence is therefore kept
//! over sessions, in bounded amounts:
//!
//! * [`SuspectTopics`]: for these the broker ends the connection. They are sent alone, after everything else, and not at all
//!   for a while once it is certain.
//! * [`HeldMessages`]: log messages refused while no other was accepted. They are parked with the first that is accepted.
//! * [`Proof`]: whether log messages are accepted at all.
//!
//! If a broker acknowledges nothing, no message is blamed. If it refuses all log messages, the sink is blocked.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::flight::Flight;
use crate::findings::FindingCode;
use crate::outbox::Parking;
use crate::sink::{Refusal, RefusalCode, SinkDown};
use failures::Failures;
pub(crate) use failures::Sort;
use held::{HeldMessages, Proof};
pub(crate) use held::{Meeting, Suspect};
use topics::SuspectTopics;
pub(crate) use topics::Treatment;

mod failures;
mod held;
#[cfg(test)]
mod tests;
mod topics;

/// Consecutive connection losses with a message of the same topic unacknowledged, after which messages are sent one at
/// a time.
const MAX_BREAKS: u32 = 2;
/// Maximum number of consecutive immediate reconnects that yielded no evidence.
const MAX_RETRIES: u32 = 12;
/// Maximum number of consecutive immediate reconnects where each time another topic was refused and nothing was
/// acknowledged.
const MAX_RETRIES_REFUSED: u32 = 256;
/// Maximum time from a refusal to the end of the connection that it explains.
const MAX_CUT_DELAY: Duration = Duration::from_secs(1);
/// Maximum number of refusals of one session that may explain its end.
const MAX_REFUSALS: usize = 256;
/// Code of a connection that the broker ended because it does not permit a message.
pub(super) const MESSAGE_REFUSED: FindingCode = FindingCode::MessageRefused;

/// Evidence on messages that are refused or end the connection, over all sessions.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    /// Topics over which the broker ends the connection, or may.
    topics: SuspectTopics,
    /// Log messages that were refused and are not parked yet.
    held: HeldMessages,
    /// Log messages that were accepted.
    proof: Proof,
    /// Evidence of this session.
    session: Evidence,
    /// The search for the message that ends the connection.
    isolation: Isolation,
}

/// Evidence of one session.
#[derive(Debug, Default)]
struct Evidence {
    /// True if this session is part of the search for the message that ends the connection.
    searches: bool,
    /// True if anything was acknowledged, so the broker works.
    acknowledged: bool,
    /// Topics refused lately, with the time of each refusal.
    refusals: Vec<(String, Refusal, Instant)>,
}

/// The search for the message that ends the connection, over several sessions.
#[derive(Debug, Default)]
struct Isolation {
    /// True if a message ended the last session: the log is then sent before values, and suspected messages are sent
    /// alone.
    active: bool,
    /// True if anything was acknowledged since the search began.
    acknowledged: bool,
    /// True if values are sent before the log. It alternates after each session of the search without an
    /// acknowledgement: such a session yields no evidence, and the first log message may be the cause.
    values_first: bool,
    /// Consecutive connection losses of unknown cause with the same topic unacknowledged each time.
    breaks: u32,
    /// Topics that were unacknowledged at the last of these losses.
    topics: HashSet<String>,
    /// Messages that ended a session before anything was acknowledged.
    failures: Failures,
    /// Consecutive immediate reconnects.
    retries: u32,
    /// True if the next attempt is made without a pause.
    retry: bool,
}

/// A message for which the broker ended the connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OffendingMessage {
    /// The message.
    pub(crate) flight: Flight,
    /// The reason.
    pub(crate) refusal: Refusal,
}

/// Result of a broken link.
#[derive(Debug, Default)]
pub(crate) struct Break {
    /// The message that caused it, if it is known and no receipt refused it.
    pub(crate) offending_message: Option<OffendingMessage>,
    /// The cause in a sentence, if it is known to be a message.
    pub(crate) cause: Option<SinkDown>,
}

/// Treatment of a refused log message.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Park the message, so that later messages are sent.
    Park(Suspect),
    /// The message stays set aside until another one is accepted.
    Hold,
}

impl Poison {
    /// A session begins.
    pub(crate) fn begin(&mut self) {
        let searches = self.isolation.active;
        let ended = std::mem::replace(&mut self.session, Evidence { searches, ..Evidence::default() });
        let values_first = self.isolation.values_first == ended.acknowledged;
        self.isolation.values_first = searches && ended.searches && values_first;
        self.held.begin();
        self.isolation.acknowledged &= self.isolation.active;
    }

    /// Restarts at another position of the log lane: messages set aside are sent again.
    pub(crate) fn reloaded(&mut self) {
        self.held.begin();
        self.held.clear();
    }

    /// Returns whether a message ended the last session; the log is then sent before values.
    pub(crate) fn isolating(&self) -> bool {
        self.isolation.active
    }

    /// Returns whether log messages are sent before values in this session.
    pub(crate) fn log_first(&self) -> bool {
        self.isolation.active && !self.isolation.values_first
    }

    /// Returns whether anything was acknowledged in this session.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.session.acknowledged
    }

    /// Number of search sessions that a message of this sort, or of this source, ended before any acknowledgement.
    /// Messages with fewer failures are tried first.
    pub(crate) fn failures(&self, sort: Sort, source_no: i64) -> u32 {
        self.isolation.failures.of(sort, source_no)
    }

    /// Treatment of a message of a topic. `log`: it is a log message, whose order matters, so the search sends each
    /// topic alone until one of its messages is accepted.
    pub(crate) fn treatment(&self, topic: &str, log: bool) -> Treatment {
        match self.topics.treatment(topic) {
            Treatment::Send if log && self.isolation.active && !self.proof.has(topic) => Treatment::Alone,
            treatment => treatment,
        }
    }

    /// Decides on a log message before it is sent.
    pub(crate) fn decide(&mut self, no: i64, topic: &str) -> Meeting {
        self.held.decide(no, topic)
    }

    /// Returns whether the maximum number of log messages is set aside, so that no more are sent.
    pub(crate) fn is_full(&self) -> bool {
        self.held.is_full()
    }

    /// Records an acknowledgement. Returns log messages to be parked: an accepted log message proves that earlier
    /// refusals concerned those messages alone.
    pub(crate) fn acknowledged(&mut self, flight: &Flight) -> Vec<Suspect> {
        self.session.acknowledged = true;
        self.isolation.acknowledged = true;
        self.topics.acknowledged(flight.topic());
        if !matches!(flight, Flight::Log { .. }) {
            return Vec::new();
        }
        self.proof.accepted(flight.topic());
        self.held.make_certain()
    }

    /// Records a refusal.
    pub(crate) fn refused(&mut self, topic: &str, refusal: &Refusal) {
        self.session.refusals.retain(|(_, _, at)| at.elapsed() <= MAX_CUT_DELAY);
        if refusal.code == RefusalCode::Permission && self.session.refusals.len() < MAX_REFUSALS {
            self.session.refusals.push((topic.to_owned(), refusal.clone(), Instant::now()));
        }
    }

    /// Decides on a log message that was refused, or would be.
    pub(crate) fn decide_refused(
        &mut self,
        source_no: i64,
        no: i64,
        topic: &str,
        refusal: &Refusal,
    ) -> Verdict {
        let parking = Parking {
            entry: no,
            topic: topic.into(),
            code: refusal.code.as_str().into(),
            reason: refusal.reason.clone(),
        };
        let suspect = Suspect { source_no, no, parking };
        if refusal.code != RefusalCode::Permission {
            return Verdict::Park(suspect);
        }
        self.proof.refused(topic);
        if self.proof.is_given() {
            return Verdict::Park(suspect);
        }
        self.held.add(suspect, false);
        Verdict::Hold
    }

    /// Reason why the sink is blocked: enough log messages were refused, none was accepted, and no other message is
    /// left to try.
    pub(crate) fn blocked(&mut self, values_left: bool) -> Option<String> {
        if !self.held.is_enough() || (values_left && self.isolation.acknowledged) {
            return None;
        }
        let reason = self.held.reason().unwrap_or_default().to_owned();
        self.isolation = Isolation::default();
        self.held.clear();
        self.topics.retry_all();
        Some(reason)
    }

    /// Ends the search: all messages were accepted, or the session lasted.
    pub(crate) fn end_search(&mut self) {
        self.isolation.active = false;
        self.isolation.failures.clear();
        self.topics.search_ends();
    }

    /// Records that no broker answers; when it returns, permissions may have changed.
    pub(crate) fn unreachable(&mut self) {
        self.topics.retry_all();
        self.other_cause();
    }

    /// Records that a session lasted, so the end of the next one has another cause.
    pub(crate) fn session_lasted(&mut self) {
        self.isolation.retries = 0;
    }

    /// Returns whether the next attempt need not wait. Once per break.
    pub(crate) fn retries_at_once(&mut self) -> bool {
        std::mem::take(&mut self.isolation.retry)
    }

    /// Records a connection loss with these messages unacknowledged, in sending order.
    pub(crate) fn broke(&mut self, unsent: &[Flight], down: &SinkDown) -> Break {
        let refusals = std::mem::take(&mut self.session.refusals);
        let recent = refusals.into_iter().filter(|(_, _, at)| at.elapsed() <= MAX_CUT_DELAY);
        let mut cause = None;
        for (topic, refusal, _) in recent {
            self.topics.cause(&topic, &refusal);
            cause = Some(sentence(&topic, &refusal));
        }
        if cause.is_some() {
            self.caused(true);
            return Break { offending_message: None, cause };
        }
        let Some((first, rest)) = unsent.split_first() else {
            self.other_cause();
            return Break::default();
        };
        let found = |code: RefusalCode, reason: &str| Refusal { code, reason: reason.to_owned() };
        let refusal = match down.code {
            FindingCode::MessageTooLarge => found(RefusalCode::TooLarge, &down.reason),
            MESSAGE_REFUSED if rest.is_empty() => found(RefusalCode::Permission, &down.reason),
            _ if self.is_cause(first, rest) => {
                found(RefusalCode::CutsLink, "the broker cuts the link whenever this message is sent alone")
            }
            _ => {
                self.broke_without_cause(unsent, down.code == MESSAGE_REFUSED);
                return Break::default();
            }
        };
        if refusal.code != RefusalCode::TooLarge {
            self.topics.cause(first.topic(), &refusal);
        }
        self.caused(refusal.code == RefusalCode::Permission);
        self.set_aside(first, &refusal);
        let cause = Some(sentence(first.topic(), &refusal));
        Break { offending_message: Some(OffendingMessage { flight: first.clone(), refusal }), cause }
    }

    /// Returns whether the only message in flight is the cause, by what was seen of its topic.
    fn is_cause(&mut self, first: &Flight, rest: &[Flight]) -> bool {
        rest.is_empty() && self.session.acknowledged && self.topics.broke_alone(first.topic())
    }

    /// Sets a log message aside that no receipt refused.
    fn set_aside(&mut self, flight: &Flight, refusal: &Refusal) {
        let Flight::Log { source_no, no, topic, picture, .. } = flight else { return };
        if refusal.code != RefusalCode::Permission && picture.is_some() {
            // A picture is dropped, and its event is sent without it.
            return;
        }
        if let Verdict::Park(suspect) = self.decide_refused(*source_no, *no, topic, refusal) {
            self.held.add(suspect, true);
        }
    }

    /// Records a connection loss with known cause. `refused`: the broker named the message.
    fn caused(&mut self, refused: bool) {
        let most = if refused { MAX_RETRIES_REFUSED } else { MAX_RETRIES };
        if self.session.acknowledged {
            self.isolation.retries = 0;
        }
        self.isolation.active = true;
        self.isolation.breaks = 0;
        self.isolation.topics.clear();
        self.isolation.retries += 1;
        self.isolation.retry = (refused || self.session.acknowledged) && self.isolation.retries <= most;
        if !refused {
            self.proof.clear();
        }
    }

    /// Records a connection loss with these messages unacknowledged and an unknown cause. `message`: the broker said
    /// that a message is the cause.
    fn broke_without_cause(&mut self, unsent: &[Flight], message: bool) {
        self.proof.clear();
        let these: HashSet<String> = unsent.iter().map(|flight| flight.topic().to_owned()).collect();
        let again = !self.isolation.topics.is_disjoint(&these);
        if !again && !self.isolation.active {
            self.topics.reconnected();
        }
        self.isolation.breaks = if again { self.isolation.breaks + 1 } else { 1 };
        // During the search few topics are unknown, so different topics at each loss do not indicate an outage.
        if message || self.isolation.active || MAX_BREAKS <= self.isolation.breaks {
            self.isolation.active = true;
            these.iter().for_each(|topic| self.topics.suspect(topic));
        }
        if let [only] = unsent
            && self.isolation.active
            && !self.session.acknowledged
        {
            self.isolation.failures.add(only);
        }
        self.isolation.topics = these;
        self.isolation.retries += 1;
        self.isolation.retry = self.session.acknowledged && self.isolation.retries <= MAX_RETRIES;
    }

    /// Records the end of a session that no message caused.
    fn other_cause(&mut self) {
        self.topics.search_ends();
        self.topics.reconnected();
        self.proof.clear();
        self.isolation = Isolation { retries: self.isolation.retries, ..Isolation::default() };
    }
}

/// Describes the cause of a connection loss.
fn sentence(topic: &str, refusal: &Refusal) -> SinkDown {
    let reason =
        format!("the broker ended the connection because of a message for {topic}: {}", refusal.reason);
    SinkDown { code: MESSAGE_REFUSED, reason }
}
