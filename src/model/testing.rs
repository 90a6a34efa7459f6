//! Sample records for tests, and comparison with golden files.

use std::path::Path;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Map;
use uuid::Uuid;

use super::record::{ActivityPhase, BestSnapshot, DeviceRecord, SnapshotRecord, TimeSource};
use super::{ActivityRecord, AlarmRecord, BoundingBox, DeviceKind, EventName, Phase, Source};

/// The identifier of the sample alarm.
pub(crate) const ID: Uuid = Uuid::from_u128(0x019a_b6c2_5f0e_7c11_9d0a_3b6d_6c1f_6d10);
/// The identifier of its activity.
pub(crate) const ACTIVITY: Uuid = Uuid::from_u128(0x019a_b6c2_5f0e_7c11_9d0a_3b6d_6c1f_6d11);
/// A camera of the sample.
pub(crate) fn camera() -> DeviceRecord {
    DeviceRecord {
        mac: Some("98:ba:5f:8b:10:03".parse().unwrap()),
        name: "Front door".into(),
        reported_name: Some("InSight S445 1.0_1003".into()),
        ip: Some("192.168.0.101".into()),
        vendor: "vigi".into(),
        kind: DeviceKind::Camera,
        channel: Some(1),
        parent: None,
    }
}

/// A picture of the sample.
pub(crate) fn snapshot() -> SnapshotRecord {
    SnapshotRecord {
        picture: Some(Uuid::from_u128(5)),
        bytes: 184_211,
        sha256: Some("ab".repeat(32)),
        width: Some(2688),
        height: Some(1520),
        problem: None,
    }
}

/// The sample alarm of a person.
pub(crate) fn person() -> AlarmRecord {
    AlarmRecord {
        id: ID,
        seq: 18231,
        event: EventName::new("person"),
        event_raw: "PEOPLE".into(),
        phase: Phase::Start,
        repeat: 0,
        activity_id: Some(ACTIVITY),
        source: Source::from_known("98ba5f8b1003").unwrap(),
        device: camera(),
        time: "2026-10-05T16:25:31+08:00".into(),
        time_raw: Some("2026-10-05 16:25:31".into()),
        time_source: TimeSource::Device,
        received_at: at("2026-10-05T08:25:32.104Z"),
        clock_offset_ms: Some(-1104),
        count: Some(2),
        regions: vec![1],
        boxes: vec![BoundingBox { x: 0.2109, y: 0.4722, width: 0.1797, height: 0.5278 }],
        snapshot: Some(snapshot()),
        details: Map::new(),
        extra: Map::new(),
        truncated: false,
        muted: false,
        adds_picture: false,
    }
}

/// An alarm with the fewest possible data.
pub(crate) fn minimal() -> AlarmRecord {
    let source = Source::of_ip("192.168.0.101");
    AlarmRecord {
        event: EventName::new("Line Of Ducks"),
        event_raw: "Line Of Ducks".into(),
        phase: Phase::Once,
        activity_id: None,
        device: DeviceRecord {
            mac: None,
            name: source.to_string(),
            reported_name: None,
            ip: None,
            vendor: "generic".into(),
            kind: DeviceKind::Camera,
            channel: None,
            parent: None,
        },
        source,
        time: "2026-10-05T08:25:32.000Z".into(),
        time_raw: None,
        time_source: TimeSource::Receipt,
        received_at: at("2026-10-05T08:25:32Z"),
        clock_offset_ms: None,
        count: None,
        regions: Vec::new(),
        boxes: Vec::new(),
        snapshot: None,
        ..person()
    }
}

/// The end of the sample's activity.
pub(crate) fn ended() -> ActivityRecord {
    ActivityRecord {
        id: Uuid::from_u128(0x019a_b6c2_5f0e_7c11_9d0a_3b6d_6c1f_6d12),
        activity_id: ACTIVITY,
        event: EventName::new("person"),
        source: person().source,
        device: camera(),
        phase: ActivityPhase::End,
        started: at("2026-10-05T08:25:32.104Z"),
        ended: Some(at("2026-10-05T08:26:10.5Z")),
        alarms: 7,
        count_max: Some(3),
        snapshot: Some(BestSnapshot { alarm: ID, snapshot: snapshot() }),
        muted: false,
    }
}

/// The start of the sample's activity.
pub(crate) fn started() -> ActivityRecord {
    ActivityRecord {
        phase: ActivityPhase::Start,
        ended: None,
        alarms: 1,
        count_max: None,
        snapshot: None,
        ..ended()
    }
}

/// Parses a moment.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Compares with `tests/golden/<name>`; `UPDATE_GOLDEN=1` writes the file instead.
#[track_caller]
pub(crate) fn golden(name: &str, actual: &str) {
    held(&format!("tests/golden/{name}"), actual);
}

/// Compares with any file of the project, as [`golden`].
#[track_caller]
pub(crate) fn held(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{file} differs; if that is meant, run this test with UPDATE_GOLDEN=1 and look at the diff"
    );
}

/// Compares with a part of a page, between `<!-- <name>: … -->` and `<!-- end of <name> -->`, as [`golden`].
#[track_caller]
pub(crate) fn held_part(page: &str, name: &str, actual: &str) {
    // Several tests compare parts of one page, and may write it at the same time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let (begin, end) = (format!("<!-- {name}: "), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no {begin}"));
    let (mark, rest) = rest.split_once("-->\n").unwrap_or_else(|| panic!("{page}: {begin} does not end"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
    held(page, &format!("{before}{begin}{mark}-->\n\n{actual}\n{end}{after}"));
}

/// Compares indented JSON, as [`golden`]; the order of its keys matters.
#[track_caller]
pub(crate) fn golden_json(name: &str, actual: &[u8]) {
    let value: serde_json::Value = serde_json::from_slice(actual).unwrap();
    golden(name, &format!("{value:#}\n"));
}
