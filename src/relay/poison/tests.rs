//! Evidence against a message.

use super::*;
use crate::findings::FindingCode;

fn log(no: i64, topic: &str) -> Flight {
    Flight::Log {
        source_no: 1,
        no,
        topic: topic.into(),
        part: crate::render::MessagePart::Event,
        picture: None,
    }
}

fn online() -> Flight {
    Flight::Bridge { topic: "bridge".into(), token: None }
}

fn refusal() -> Refusal {
    Refusal { code: RefusalCode::Permission, reason: "no".into() }
}

fn down(code: FindingCode) -> SinkDown {
    SinkDown { code, reason: "gone".into() }
}

fn closed(poison: &mut Poison, unsent: &[Flight]) -> Break {
    poison.broke(unsent, &down(FindingCode::BrokerUnreachable))
}

/// A log message is refused.
fn refuse(poison: &mut Poison, no: i64, topic: &str) -> Verdict {
    poison.refused(topic, &refusal());
    poison.decide_refused(1, no, topic, &refusal())
}

#[tokio::test(start_paused = true)]
async fn refused_then_cut_is_parked_with_the_first_accepted_in_a_later_session() {
    let mut poison = Poison::default();
    poison.begin();
    assert_eq!(refuse(&mut poison, 1, "a"), Verdict::Hold);
    let seen = closed(&mut poison, &[log(2, "b"), log(3, "a")]);
    let cause = seen.cause.unwrap();
    assert!(cause.code == MESSAGE_REFUSED && cause.reason.contains("for a: no"), "{cause:?}");
    assert!(poison.isolating() && poison.retries_at_once());
    poison.begin();
    assert_eq!(poison.decide(1, "a"), Meeting::Hold);
    let parked = poison.acknowledged(&log(2, "b"));
    assert_eq!(parked.iter().map(|suspect| suspect.no).collect::<Vec<_>>(), [1]);
    assert!(matches!(poison.treatment("a", true), Treatment::Wait(..)), "it is not sent to be refused again");
    assert!(matches!(poison.decide_refused(1, 3, "a", &refusal()), Verdict::Park(_)));
    assert_eq!(poison.treatment("b", true), Treatment::Send);
}

#[tokio::test(start_paused = true)]
async fn acceptance_counts_in_the_next_session_only_if_a_refusal_ended_this_one() {
    let mut poison = Poison::default();
    poison.begin();
    poison.acknowledged(&log(1, "a"));
    assert!(matches!(refuse(&mut poison, 2, "b"), Verdict::Park(_)));
    closed(&mut poison, &[]);
    poison.begin();
    assert!(matches!(refuse(&mut poison, 3, "c"), Verdict::Park(_)));
    tokio::time::advance(MAX_CUT_DELAY * 2).await;
    assert!(closed(&mut poison, &[]).cause.is_none(), "the refusal is too long ago to be the cause");
    poison.begin();
    assert_eq!(refuse(&mut poison, 4, "d"), Verdict::Hold);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_after_the_refusal_does_not_hide_the_cause() {
    let mut poison = Poison::default();
    poison.begin();
    poison.refused("a", &refusal());
    poison.acknowledged(&online());
    assert!(closed(&mut poison, &[log(1, "b")]).cause.is_some());
    assert!(matches!(poison.treatment("a", false), Treatment::Wait(..)));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_accepted_parks_nothing() {
    let mut poison = Poison::default();
    poison.begin();
    assert_eq!(poison.acknowledged(&online()), []);
    for no in 1..=3 {
        assert!(poison.blocked(false).is_none());
        assert_eq!(refuse(&mut poison, no, "a"), Verdict::Hold);
    }
    assert_eq!(poison.acknowledged(&online()), []);
    assert!(poison.blocked(true).is_none(), "values have their turn first");
    assert_eq!(poison.blocked(false).as_deref(), Some("no"));
    assert_eq!(poison.decide(1, "a"), Meeting::Unknown, "it is sent again");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_everything_and_cuts_the_link_blocks() {
    let mut poison = Poison::default();
    for no in 1..=3 {
        poison.begin();
        assert!(poison.blocked(true).is_none());
        assert_eq!(refuse(&mut poison, no, &no.to_string()), Verdict::Hold);
        closed(&mut poison, &[]);
    }
    poison.begin();
    assert!(poison.blocked(true).is_some());
    assert_eq!(poison.treatment("1", true), Treatment::Alone, "it is asked again after the pause");
}

#[tokio::test(start_paused = true)]
async fn a_message_alone_at_three_breaks_is_the_cause() {
    let mut poison = Poison::default();
    poison.begin();
    closed(&mut poison, &[log(1, "a"), log(2, "b")]);
    assert!(!poison.isolating());
    poison.begin();
    closed(&mut poison, &[log(2, "b"), log(3, "c")]);
    assert!(poison.isolating());
    poison.retries_at_once();
    assert_eq!(poison.treatment("c", false), Treatment::Alone);
    for round in 1..=3 {
        poison.begin();
        poison.acknowledged(&online());
        let seen = closed(&mut poison, &[log(2, "b")]);
        assert!(poison.retries_at_once() && !poison.retries_at_once());
        assert_eq!(seen.offending_message.is_some(), round == 3);
    }
    poison.begin();
    let Meeting::Park(suspect) = poison.decide(2, "b") else { panic!("it is parked") };
    assert_eq!((suspect.no, suspect.parking.code.as_str()), (2, RefusalCode::CutsLink.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_with_a_reason_accuses_the_message_that_was_alone() {
    let mut poison = Poison::default();
    poison.begin();
    poison.acknowledged(&log(1, "a"));
    for _ in 0..2 {
        let seen = poison.broke(&[log(2, "b"), log(3, "c")], &down(MESSAGE_REFUSED));
        assert_eq!(seen.offending_message, None);
    }
    poison.begin();
    let seen = poison.broke(&[log(2, "b")], &down(MESSAGE_REFUSED));
    assert_eq!(seen.offending_message.map(|found| found.flight), Some(log(2, "b")));
    assert!(matches!(poison.treatment("b", true), Treatment::Wait(..)));
    poison.begin();
    assert_eq!(poison.decide(2, "b"), Meeting::Hold, "no log message was accepted since the last break");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_acknowledges_nothing_accuses_no_message() {
    let mut poison = Poison::default();
    for _ in 0..9 {
        poison.begin();
        let seen = closed(&mut poison, &[log(1, "a")]);
        assert!(seen.offending_message.is_none() && seen.cause.is_none() && !poison.retries_at_once());
    }
}

#[tokio::test(start_paused = true)]
async fn values_go_first_after_a_session_that_acknowledged_nothing() {
    let mut poison = Poison::default();
    (0..2).for_each(|_| {
        poison.begin();
        closed(&mut poison, &[log(1, "a")]);
    });
    poison.begin();
    assert!(poison.log_first());
    closed(&mut poison, &[log(1, "a")]);
    poison.begin();
    assert!(poison.isolating() && !poison.log_first(), "the log went first, and nothing was acknowledged");
    for _ in 0..3 {
        poison.acknowledged(&online());
        closed(&mut poison, &[log(1, "a")]);
        poison.begin();
        assert!(!poison.log_first(), "it is found out about the log message in this order");
    }
    assert!(matches!(poison.decide(1, "a"), Meeting::Park(_)));
    closed(&mut poison, &[]);
    poison.begin();
    assert!(!poison.log_first() && !poison.isolating());
}

#[tokio::test(start_paused = true)]
async fn what_ended_a_session_before_any_acknowledgement_does_not_go_first_again() {
    let mut poison = Poison::default();
    for _ in 0..3 {
        poison.begin();
        closed(&mut poison, &[log(1, "a")]);
    }
    assert!(poison.failures(Sort::Log, 1) > poison.failures(Sort::Log, 2), "another source goes first");
    assert_eq!(poison.failures(Sort::Bridge, 0), 0);
    let before = poison.failures(Sort::Log, 1);
    poison.begin();
    poison.acknowledged(&online());
    closed(&mut poison, &[log(1, "a")]);
    assert_eq!(poison.failures(Sort::Log, 1), before, "that break counts against its topic");
    poison.unreachable();
    assert_eq!(poison.failures(Sort::Log, 1), 0, "another search may have another cause");
}

#[tokio::test(start_paused = true)]
async fn all_topics_on_their_way_are_suspects_while_the_search_goes_on() {
    let mut poison = Poison::default();
    for _ in 0..2 {
        poison.begin();
        closed(&mut poison, &[log(1, "a")]);
    }
    poison.begin();
    closed(&mut poison, &[log(2, "b"), log(3, "c")]);
    assert_eq!(poison.treatment("b", false), Treatment::Alone);
    assert_eq!(poison.treatment("c", false), Treatment::Alone);
}

#[tokio::test(start_paused = true)]
async fn different_topics_at_each_break_are_an_outage() {
    let mut poison = Poison::default();
    for no in 1..9 {
        closed(&mut poison, &[log(no, &no.to_string())]);
    }
    assert!(!poison.isolating());
}

#[tokio::test(start_paused = true)]
async fn too_large_is_the_first_not_acknowledged() {
    let mut poison = Poison::default();
    poison.begin();
    let seen = poison.broke(&[log(7, "a"), log(8, "b")], &down(FindingCode::MessageTooLarge));
    assert_eq!(seen.offending_message.map(|found| found.flight), Some(log(7, "a")));
    assert_eq!(poison.treatment("a", false), Treatment::Send, "a smaller one passes");
    assert!(matches!(poison.decide(7, "a"), Meeting::Park(_)));
}
