//! Order, turns and positions of the log lane.

use super::*;
use crate::model::record::{ActivityPhase, ActivityRecord};
use crate::model::{Record, Source};

fn entry(no: i64, source_no: i64) -> Arc<Entry> {
    let device = crate::outbox::device::Device::unheard(1, Source::unlisted(), jiff::Timestamp::UNIX_EPOCH)
        .record("x".into());
    let record = ActivityRecord {
        id: uuid::Uuid::nil(),
        activity_id: uuid::Uuid::nil(),
        event: crate::model::EventName::new("person"),
        source: Source::unlisted(),
        device,
        phase: ActivityPhase::End,
        started: jiff::Timestamp::UNIX_EPOCH,
        ended: None,
        alarms: 1,
        count_max: None,
        snapshot: None,
        muted: false,
    };
    Arc::new(Entry::new(no, source_no, Record::Activity(Box::new(record))))
}

fn send_all(lanes: &mut Lanes) -> Vec<i64> {
    let mut order = Vec::new();
    while let Some(source_no) = lanes.next(Instant::now(), |_| false) {
        while let Some(entry) = lanes.peek(source_no) {
            order.push(entry.no);
            lanes.sent(source_no, 1);
        }
        lanes.done(source_no);
    }
    order
}

#[test]
fn the_position_is_the_first_that_is_not_acknowledged() {
    let mut lanes = Lanes::default();
    lanes.add(&[entry(1, 7), entry(2, 8), entry(3, 7), entry(4, 8)], |_| true);
    assert_eq!(send_all(&mut lanes), [1, 3, 2, 4]);
    lanes.acked(8, 2);
    lanes.acked(8, 4);
    assert_eq!(lanes.position(), (0, [(8, 4)].into()));
    lanes.acked(7, 1);
    assert_eq!((lanes.position().0, lanes.backlog()), (2, 1));
    lanes.acked(7, 3);
    assert_eq!((lanes.position(), lanes.backlog()), ((4, BTreeMap::new()), 0));
}

#[test]
fn a_message_set_aside_holds_neither_its_source_nor_the_end() {
    let mut lanes = Lanes { one_per_source: true, ..Lanes::default() };
    lanes.add(&[entry(1, 7), entry(2, 7)], |_| true);
    assert_eq!(lanes.next(Instant::now(), |_| false), Some(7));
    lanes.sent(7, 1);
    lanes.done(7);
    assert_eq!(lanes.next(Instant::now(), |_| false), None);
    lanes.hold_back(7, 1);
    assert_eq!(lanes.next(Instant::now(), |_| false), Some(7));
    lanes.sent(7, 1);
    lanes.done(7);
    lanes.acked(7, 2);
    assert_eq!((lanes.position().0, lanes.all_sent()), (0, true));
    lanes.parked(7, 1);
    assert_eq!(lanes.position().0, 2);
}

#[test]
fn what_has_to_be_sent_again_keeps_the_order() {
    let mut lanes = Lanes::default();
    lanes.add(&[entry(1, 7), entry(2, 7), entry(3, 7)], |_| true);
    assert_eq!(send_all(&mut lanes), [1, 2, 3]);
    lanes.acked(7, 1);
    lanes.rewind(7, 2, Instant::now());
    let source_no = lanes.next(Instant::now(), |_| false).unwrap();
    assert_eq!(lanes.wants(source_no), Some(1));
    lanes.fill(source_no, vec![entry(2, 7), entry(3, 7)]);
    lanes.done(source_no);
    assert_eq!(send_all(&mut lanes), [2, 3]);
    assert_eq!(lanes.position().0, 1);
}

#[test]
fn a_source_that_waits_holds_no_other() {
    let mut lanes = Lanes { one_per_source: true, ..Lanes::default() };
    lanes.add(&[entry(1, 7), entry(2, 7), entry(3, 8)], |_| true);
    lanes.hold(7, Instant::now() + std::time::Duration::from_secs(9));
    assert_eq!(lanes.next(Instant::now(), |_| false), Some(8));
    lanes.release(7, Instant::now());
    assert_eq!(lanes.next(Instant::now(), |_| false), Some(7));
}

#[test]
fn a_new_source_begins_with_its_first_entry_even_when_enough_is_read_ahead() {
    let mut lanes = Lanes { read_ahead: MAX_READ_AHEAD, ..Lanes::default() };
    lanes.add(&[entry(41, 7)], |_| true);
    assert_eq!((lanes.wants(7), lanes.room()), (Some(40), 1));
}

#[test]
fn what_was_committed_since_is_not_taken_twice() {
    let mut lanes = Lanes { tip: 1, ..Lanes::default() };
    lanes.add(&[entry(2, 7), entry(3, 7)], |_| true);
    assert_eq!(send_all(&mut lanes), [2, 3]);
    lanes.rewind(7, 2, Instant::now());
    assert_eq!(lanes.next(Instant::now(), |_| false), Some(7));
    lanes.fill(7, vec![entry(2, 7), entry(3, 7), entry(4, 7)]);
    lanes.done(7);
    assert_eq!(send_all(&mut lanes), [2, 3]);
    lanes.add(&[entry(4, 7)], |_| true);
    assert_eq!(send_all(&mut lanes), [4]);
    (2..=4).for_each(|no| lanes.acked(7, no));
    assert_eq!((lanes.position().0, lanes.backlog()), (4, 0));
}

#[test]
fn a_restart_goes_on_where_each_source_was() {
    let position = Position { log_low: 2, ahead: [(8, 6)].into(), ..Position::default() };
    let left = |source_no, first, last| Left { source_no, count: 2, first, last };
    let lanes = Lanes::new(&position, &[left(7, 3, 9), left(8, 4, 6)], 9, false);
    assert_eq!((lanes.wants(7), lanes.wants(8)), (Some(2), None));
    let mut lanes = lanes;
    assert_eq!(lanes.position(), (2, [(8, 6)].into()), "a source that is done is not forgotten");
}

#[test]
fn sources_with_fewest_failures_go_first() {
    let mut lanes = Lanes::default();
    lanes.add(&[entry(1, 7), entry(2, 8), entry(3, 9)], |_| true);
    lanes.prefer(|source_no| u32::from(source_no == 7));
    assert_eq!(send_all(&mut lanes), [2, 3, 1]);
}
