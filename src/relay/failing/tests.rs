//! Tests of messages that are sent again, set aside or parked after failures.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, reason: "it said no".into(), retry_after: None, elapsed: Duration::ZERO }
}

fn fail(failing: &mut FailingMessages, no: i64, kind: FailureKind, now: Instant) -> AfterFailure {
    let elapsed = if kind == FailureKind::NoAnswer { Duration::from_secs(8) } else { Duration::ZERO };
    failing.failed(Failed { source_no: 1, no, topic: "t", elapsed }, &failure(kind), now)
}

#[test]
fn an_outage_keeps_the_order_and_tries_more_messages_each_round() {
    let mut failing = FailingMessages::default();
    let mut now = Instant::now();
    let mut tried = Vec::new();
    for _ in 0..6 {
        for no in 1.. {
            match fail(&mut failing, no, FailureKind::Answer, now) {
                AfterFailure::SetAside => {}
                AfterFailure::Pause(pause) => {
                    tried.push((no, pause.as_secs()));
                    failing.aside().iter().for_each(|(_, no)| failing.back_in_order(*no));
                    assert!(failing.waits(now) && !failing.waits(now + pause));
                    now += pause;
                    break;
                }
                AfterFailure::Park(suspect) => panic!("{suspect:?} was parked in an outage"),
            }
        }
    }
    assert_eq!(tried, [(1, 1), (1, 2), (2, 4), (3, 8), (5, 16), (9, 30)]);
}

#[test]
fn a_message_that_fails_while_others_are_accepted_is_parked() {
    for kind in [FailureKind::Answer, FailureKind::NoAnswer, FailureKind::Access] {
        let mut failing = FailingMessages::default();
        let mut now = Instant::now();
        while fail(&mut failing, 1, kind, now) != AfterFailure::SetAside {
            now += 4 * SECOND;
        }
        failing.accepted(2, now);
        let mut attempts = 0;
        loop {
            now = failing.wake(now).unwrap();
            assert_eq!(failing.due(now), Some((1, 1)));
            attempts += 1;
            match fail(&mut failing, 1, kind, now) {
                AfterFailure::SetAside => {}
                AfterFailure::Park(suspect) => {
                    assert_eq!((suspect.no, suspect.parking.reason.as_str()), (1, "it said no"));
                    break;
                }
                AfterFailure::Pause(_) => panic!("the others wait"),
            }
        }
        assert_eq!((attempts, failing.wake(now)), (3, None), "{kind:?}");
    }
}

#[test]
fn a_failure_of_another_message_is_an_outage_and_no_proof() {
    let mut failing = FailingMessages::default();
    let now = Instant::now();
    assert_eq!(fail(&mut failing, 1, FailureKind::NoAnswer, now), AfterFailure::SetAside);
    failing.accepted(2, now);
    assert_eq!(fail(&mut failing, 1, FailureKind::Answer, now), AfterFailure::SetAside);
    assert_eq!(fail(&mut failing, 1, FailureKind::Answer, now), AfterFailure::SetAside);
    assert!(matches!(fail(&mut failing, 3, FailureKind::Answer, now), AfterFailure::Pause(_)));
    failing.stays_aside(1, now);
    for _ in 0..9 {
        assert_eq!(fail(&mut failing, 1, FailureKind::Answer, now), AfterFailure::SetAside);
    }
    failing.accepted(1, now);
    assert_eq!(failing.aside(), []);
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it_and_parks_nothing() {
    let mut failing = FailingMessages::default();
    let mut now = Instant::now();
    let retry_after = Failure { retry_after: Some(30 * SECOND), ..failure(FailureKind::Busy) };
    let failed = Failed { source_no: 1, no: 1, topic: "t", elapsed: Duration::ZERO };
    for _ in 0..20 {
        match failing.failed(failed, &retry_after, now) {
            AfterFailure::Pause(pause) => assert!(30 * SECOND <= pause),
            AfterFailure::SetAside => failing.accepted(2, now),
            AfterFailure::Park(_) => panic!("it was parked"),
        }
        now += 30 * SECOND;
    }
}

#[test]
fn a_message_that_no_connection_survives_does_not_begin_the_next_session() {
    let mut failing = FailingMessages::default();
    let now = Instant::now();
    (0..3).for_each(|_| drop(fail(&mut failing, 1, FailureKind::NoAnswer, now)));
    failing.begin();
    assert!(failing.sets_aside(1, now) && !failing.sets_aside(2, now));
    assert!(failing.round_is_over(now + SECOND), "it is tried when nothing else is left");
    failing.begin();
    assert!(!failing.sets_aside(1, now));
}
