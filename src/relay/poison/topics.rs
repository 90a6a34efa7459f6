//! Topics for which the broker ends the connection. They are recorded by topic, because permissions depend on the
//! topic.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::sink::{Refusal, RefusalCode};

/// Maximum number of topics recorded. The one that changed longest ago is removed first; its next message is sent like
/// any other.
const CAPACITY: usize = 2_048;
/// Consecutive connection losses with one message of the topic alone unacknowledged, after which that message counts as
/// the cause.
const PROOF_BREAKS: u32 = 3;
/// The same limit once the broker is known to end connections without a reason.
const PROOF_BREAKS_AGAIN: u32 = 2;
/// Number of similar topics with proven cause, from which on a single loss is enough.
const MIN_SIMILAR: usize = 2;
/// Pause after the first loss that the topic caused; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Maximum pause.
const MAX_PAUSE: Duration = Duration::from_secs(600);
/// Maximum pause after a reconnect for another reason, since the broker's permissions may have changed.
const RECONNECT_PAUSE: Duration = Duration::from_secs(10);

/// Topics that are, or may be, the reason for a break.
#[derive(Debug, Default)]
pub(crate) struct SuspectTopics {
    known: HashMap<String, Topic>,
    /// True if two messages of one topic ended the connection without a reason, which shows that the broker does so by
    /// topic.
    proven: bool,
}

/// One such topic.
#[derive(Debug)]
struct Topic {
    /// Consecutive connection losses with one message of this topic, and no other, unacknowledged.
    breaks_alone: u32,
    /// Times it was the cause of a break since a message of it was last acknowledged.
    times_cause: u32,
    /// Time before which no message of this topic is sent.
    until: Option<Instant>,
    /// The broker's reason, once it was the cause.
    refusal: Option<Refusal>,
    /// Time of the last change.
    changed: Instant,
}

/// Treatment of a message of a topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Treatment {
    /// Send it like any other.
    Send,
    /// Send it while no other message is unacknowledged.
    Alone,
    /// Do not send it before this time, because the broker would end the connection for this reason.
    Wait(Instant, Refusal),
}

impl SuspectTopics {
    /// Returns the current treatment of a message of this topic.
    pub(crate) fn treatment(&self, topic: &str) -> Treatment {
        let Some(known) = self.known.get(topic) else { return Treatment::Send };
        match (known.until, &known.refusal) {
            (Some(until), Some(refusal)) if Instant::now() < until => Treatment::Wait(until, refusal.clone()),
            _ => Treatment::Alone,
        }
    }

    /// Records that the broker acknowledged a message of this topic.
    pub(crate) fn acknowledged(&mut self, topic: &str) {
        if !self.known.is_empty() {
            self.known.remove(topic);
        }
    }

    /// Records a connection loss with messages of this topic and of others unacknowledged.
    pub(crate) fn suspect(&mut self, topic: &str) {
        self.entry(topic);
    }

    /// Records a connection loss with only a message of this topic unacknowledged. Returns `true` when it is the cause.
    pub(crate) fn broke_alone(&mut self, topic: &str) -> bool {
        let enough = match self.causes_alike(topic) {
            MIN_SIMILAR.. => 1,
            _ if self.proven => PROOF_BREAKS_AGAIN,
            _ => PROOF_BREAKS,
        };
        let known = self.entry(topic);
        known.breaks_alone += 1;
        // A topic that was the cause before needs no further proof.
        enough <= known.breaks_alone || 0 < known.times_cause
    }

    /// Records that the broker ended the connection for a message of this topic.
    pub(crate) fn cause(&mut self, topic: &str, refusal: &Refusal) {
        let proven = self.proven;
        let known = self.entry(topic);
        known.breaks_alone = 0;
        known.times_cause += 1;
        known.refusal = Some(refusal.clone());
        // Without a reason, the cause may be this one message and not the topic: a second loss decides.
        let sure = if refusal.code == RefusalCode::Permission || proven { 1 } else { 2 };
        known.until = known.times_cause.checked_sub(sure).map(|doublings| {
            let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
            Instant::now() + pause.min(MAX_PAUSE)
        });
        let again = 1 < known.times_cause;
        self.proven |= again && refusal.code == RefusalCode::CutsLink;
    }

    /// Allows each topic one more try, since the restarted broker may have other permissions.
    pub(crate) fn retry_all(&mut self) {
        self.known.values_mut().for_each(|topic| topic.until = None);
        self.search_ends();
    }

    /// Shortens all pauses after a reconnect that no message caused.
    pub(crate) fn reconnected(&mut self) {
        for topic in self.known.values_mut() {
            topic.until = topic.until.map(|until| until.min(topic.changed + RECONNECT_PAUSE));
        }
    }

    /// Number of topics that were the cause and differ from this one in one level before the last: the same sort of
    /// message of another source.
    fn causes_alike(&self, topic: &str) -> usize {
        let causes = self.known.iter().filter(|(_, known)| 0 < known.times_cause);
        causes.filter(|(other, _)| are_alike(topic, other)).take(MIN_SIMILAR).count()
    }

    /// Ends the search; the next one needs full proof again.
    pub(crate) fn search_ends(&mut self) {
        self.proven = false;
    }

    fn entry(&mut self, topic: &str) -> &mut Topic {
        if self.known.len() == CAPACITY && !self.known.contains_key(topic) {
            let oldest =
                self.known.iter().min_by_key(|(_, topic)| topic.changed).map(|(name, _)| name.clone());
            oldest.map(|name| self.known.remove(&name));
        }
        let now = Instant::now();
        let known = self.known.entry(topic.to_owned()).or_insert_with(|| Topic {
            breaks_alone: 0,
            times_cause: 0,
            until: None,
            refusal: None,
            changed: now,
        });
        known.changed = now;
        known
    }
}

/// Returns whether two topics differ in exactly one level, and not in the last.
fn are_alike(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.rsplit('/'), other.rsplit('/'));
    let mut differences = 0;
    if one.next() != other.next() {
        return false;
    }
    loop {
        match (one.next(), other.next()) {
            (None, None) => return differences == 1,
            (Some(one), Some(other)) => differences += u32::from(one != other),
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: RefusalCode) -> Refusal {
        Refusal { code, reason: "no".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_topic_pauses_at_once_and_longer_each_time() {
        let mut topics = SuspectTopics::default();
        for seconds in [60, 120, 240, 480, 600, 600] {
            topics.cause("a", &refusal(RefusalCode::Permission));
            let until = Instant::now() + Duration::from_secs(seconds);
            assert_eq!(topics.treatment("a"), Treatment::Wait(until, refusal(RefusalCode::Permission)));
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(topics.treatment("a"), Treatment::Alone);
        }
        topics.acknowledged("a");
        assert_eq!(topics.treatment("a"), Treatment::Send);
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_without_a_reason_pauses_when_a_second_message_breaks_the_link() {
        let mut topics = SuspectTopics::default();
        assert_eq!([1, 2, 3].map(|_| topics.broke_alone("a")), [false, false, true]);
        topics.cause("a", &refusal(RefusalCode::CutsLink));
        assert_eq!(topics.treatment("a"), Treatment::Alone, "a smaller message may pass");
        assert!(topics.broke_alone("a"), "the second needs no three breaks");
        topics.cause("a", &refusal(RefusalCode::CutsLink));
        assert!(matches!(topics.treatment("a"), Treatment::Wait(..)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_cuts_for_topics_needs_less_proof_until_the_search_ends() {
        let mut topics = SuspectTopics::default();
        topics.cause("a", &refusal(RefusalCode::CutsLink));
        topics.cause("a", &refusal(RefusalCode::CutsLink));
        assert_eq!([1, 2].map(|_| topics.broke_alone("b")), [false, true]);
        topics.cause("b", &refusal(RefusalCode::CutsLink));
        assert!(matches!(topics.treatment("b"), Treatment::Wait(..)));
        topics.search_ends();
        assert_eq!([1, 2, 3].map(|_| topics.broke_alone("c")), [false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_break_is_enough_once_topics_of_two_other_sources_are_causes() {
        let mut topics = SuspectTopics::default();
        for source in ["a", "b"] {
            assert!(!topics.broke_alone("base/c/event/motion"));
            topics.acknowledged("base/c/event/motion");
            topics.cause(&format!("base/{source}/event/motion"), &refusal(RefusalCode::CutsLink));
        }
        assert_eq!(
            topics.treatment("base/c/event/motion"),
            Treatment::Send,
            "it may be permitted: it is tried"
        );
        assert!(!topics.broke_alone("base/c/event/person"), "another kind needs its own proof");
        assert!(!topics.broke_alone("base/c/state/motion"));
        assert!(topics.broke_alone("base/c/event/motion"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_short_once_the_link_was_made_anew_for_another_reason() {
        let mut topics = SuspectTopics::default();
        (0..4).for_each(|_| topics.cause("a", &refusal(RefusalCode::Permission)));
        topics.reconnected();
        assert!(matches!(topics.treatment("a"), Treatment::Wait(..)), "a broken network costs few attempts");
        tokio::time::advance(RECONNECT_PAUSE).await;
        assert_eq!(topics.treatment("a"), Treatment::Alone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restarted_broker_is_asked_again() {
        let mut topics = SuspectTopics::default();
        topics.cause("a", &refusal(RefusalCode::Permission));
        topics.retry_all();
        assert_eq!(topics.treatment("a"), Treatment::Alone);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_topics_is_bounded_and_the_oldest_is_forgotten() {
        let mut topics = SuspectTopics::default();
        for number in 0..CAPACITY + 10 {
            topics.cause(&number.to_string(), &refusal(RefusalCode::Permission));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(topics.known.len(), CAPACITY);
        assert_eq!(topics.treatment("9"), Treatment::Send);
        assert!(matches!(topics.treatment("10"), Treatment::Wait(..)));
    }
}
