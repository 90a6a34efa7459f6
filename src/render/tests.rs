//! Published messages, compared with golden files and validated against the schema.

mod reference;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::payload::{
    BridgeHealth, BridgeInfo, DeviceStatus, HealthProblem, MuteStatus, SCHEMA, SinkHealth, SinkInfo, Status,
};
use super::testing::{live, renderer, settings};
use super::{
    Content, CurrentValue, LogEntry, Message, MessagePart, Names, PictureFate, RenderError, RenderSettings,
    Renderer, Sending, What, schema,
};
use crate::config::{HomeAssistant, Snapshots, Topics};
use crate::findings::Severity;
use crate::model::bound::{PUBLISHED_BYTES, bound};
use crate::model::record::{Record, SnapshotProblem};
use crate::model::testing::{ended, golden_json, minimal, person, started};
use crate::model::{AlarmRecord, DeviceKind, EventName, Source};

/// A log entry of an alarm, with its picture's bytes.
fn entry(alarm: AlarmRecord) -> LogEntry {
    let picture = Some(Bytes::from_static(b"\xff\xd8\xff"));
    LogEntry { no: 1, record: Record::Alarm(Arc::new(alarm)), picture }
}

/// A value of the sample's camera.
fn value(what: What, event: Option<&str>, content: Content) -> CurrentValue {
    let alarm = person();
    let event = event.map(EventName::new);
    CurrentValue { source: Some(alarm.source), what, event, version: 1, device: Some(alarm.device), content }
}

/// The payload as JSON.
fn parsed(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

/// Validates a document against one definition of the schema.
#[track_caller]
fn fits(definition: &str, document: &Value) {
    let mut whole = schema();
    whole.as_object_mut().unwrap().remove("oneOf");
    whole["$ref"] = json!(format!("#/$defs/{definition}"));
    let validator = jsonschema::options().should_validate_formats(true).build(&whole).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert_eq!(errors, Vec::<String>::new(), "{document:#}");
    // Every key is required, and no other is allowed.
    for key in document.as_object().unwrap().keys() {
        let mut less = document.clone();
        less.as_object_mut().unwrap().remove(key);
        assert!(!validator.is_valid(&less), "{key} may be missing");
    }
    let mut more = document.clone();
    more["surplus"] = Value::Null;
    assert!(!validator.is_valid(&more));
    // The whole schema accepts it as exactly one kind of message.
    assert!(jsonschema::validator_for(&schema()).unwrap().is_valid(document));
}

#[test]
fn an_alarm_is_published_as_documented() {
    let messages = renderer().log(&entry(person()), &live());
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message.topic, "alarmbus/98ba5f8b1003/event/person");
    assert_eq!(
        (message.retain, message.content_type, message.part),
        (false, "application/json", MessagePart::Event)
    );
    assert_eq!(message.id, Some(person().id));
    assert_eq!(message.event, Some(EventName::new("person")));
    assert_eq!(message.time.as_deref(), Some("2026-10-05T16:25:31+08:00"));
    golden_json("event_person.json", &message.payload);
    fits("alarm", &parsed(message));
}

#[test]
fn an_alarm_of_which_little_is_known_has_all_keys_too() {
    let messages = renderer().log(&entry(minimal()), &live());
    assert_eq!(messages[0].topic, "alarmbus/ip-192-168-0-101/event/line_of_ducks");
    golden_json("event_minimal.json", &messages[0].payload);
    fits("alarm", &parsed(&messages[0]));
}

#[test]
fn activities_are_published_at_start_and_end() {
    for (record, part, file) in [
        (started(), MessagePart::ActivityStart, "activity_start.json"),
        (ended(), MessagePart::ActivityEnd, "activity_end.json"),
    ] {
        let entry = LogEntry { no: 1, record: Record::Activity(Box::new(record)), picture: None };
        let messages = renderer().log(&entry, &live());
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].topic, "alarmbus/98ba5f8b1003/activity/person");
        assert_eq!(messages[0].part, part);
        golden_json(file, &messages[0].payload);
        fits("activity", &parsed(&messages[0]));
    }
}

#[test]
fn status_documents_fit_the_schema() {
    let device = DeviceStatus {
        schema: SCHEMA,
        source: "98ba5f8b1003".into(),
        name: "Front door".into(),
        reported_name: None,
        mac: Some("98:ba:5f:8b:10:03".into()),
        ip: Some("192.168.0.101".into()),
        vendor: "vigi".into(),
        kind: DeviceKind::Camera,
        channel: Some(1),
        parent: None,
        first_heard: "2026-10-05T08:25:32.104Z".into(),
        last_heard: "2026-10-05T08:25:32.104Z".into(),
        clock_offset_ms: Some(-1104),
        available: None,
        available_reason: None,
        muted: true,
        mutes: vec![MuteStatus { event: None, until: Some("2026-10-05T09:25:32.104Z".into()) }],
    };
    let info = BridgeInfo {
        schema: SCHEMA,
        instance: "0f3a9c".into(),
        version: "0.1.0".into(),
        started: "2026-10-05T08:00:00.000Z".into(),
        public_url: None,
        sinks: vec![SinkInfo { name: "mqtt".into(), target: "mqtt://broker:1883".into() }],
    };
    for (definition, text) in [
        ("device", serde_json::to_string(&device).unwrap()),
        ("bridge_info", serde_json::to_string(&info).unwrap()),
        ("bridge_health", serde_json::to_string(&health()).unwrap()),
    ] {
        golden_json(&format!("{definition}.json"), text.as_bytes());
        fits(definition, &serde_json::from_str(&text).unwrap());
    }
}

/// A health with everything in it.
fn health() -> BridgeHealth {
    BridgeHealth {
        schema: SCHEMA,
        at: "2026-10-05T08:25:32.104Z".into(),
        status: Status::Degraded,
        backlog: 3,
        parked: 1,
        dropped: 0,
        alarms: 12,
        refused: 2,
        devices: 1,
        sinks: vec![SinkHealth {
            name: "mqtt".into(),
            connected: false,
            backlog: 3,
            parked: 1,
            dropped: 0,
            published: 11,
        }],
        problems: vec![HealthProblem {
            code: "broker_unreachable".into(),
            severity: Severity::Error,
            title: "The broker cannot be reached".into(),
            subject: "mqtt".into(),
            detail: "connection refused".into(),
            count: 4,
            since: "2026-10-05T08:20:00.000Z".into(),
        }],
    }
}

/// The `snapshot` of the sample's event under these settings.
fn snapshot(snapshots: Snapshots, picture: PictureFate) -> (Vec<MessagePart>, Value) {
    let renderer = Renderer::new(RenderSettings { snapshots, ..settings() }).unwrap();
    let messages = renderer.log(&entry(person()), &Sending { replayed: false, picture });
    let parts = messages.iter().map(|message| message.part).collect();
    (parts, parsed(messages.last().unwrap())["snapshot"].clone())
}

#[test]
fn the_event_says_where_its_picture_is_on_this_sink() {
    let latest = Snapshots::default();
    let each = Snapshots { latest: false, each: true, ..Snapshots::default() };
    let (event, both) = (vec![MessagePart::Event], vec![MessagePart::Picture, MessagePart::Event]);
    let retained = json!("alarmbus/98ba5f8b1003/snapshot/person");
    let apart = json!(format!("alarmbus/98ba5f8b1003/picture/person/{}", person().id));
    let check = |snapshots: &Snapshots, fate: PictureFate, parts: &[MessagePart], topic: Value| {
        let (sent, shot) = snapshot(snapshots.clone(), fate);
        assert_eq!((sent.as_slice(), &shot["topic"]), (parts, &topic));
        assert!(shot["url"].is_string());
        shot
    };
    check(&latest, PictureFate::Sent, &event, retained);
    check(&latest, PictureFate::NotSent, &event, Value::Null);
    check(&each, PictureFate::Sent, &both, apart.clone());
    check(&each, PictureFate::NotSent, &both, apart);
    let over = check(&each, PictureFate::OverBrokerLimit, &event, Value::Null);
    assert_eq!(over["problem"], "over_broker_limit");
    let object = check(&each, PictureFate::Object("ab.jpg".into()), &both, Value::Null);
    assert_eq!((&object["object"], &object["problem"]), (&json!("ab.jpg"), &Value::Null));
}

#[test]
fn a_subject_is_named_as_it_is_published() {
    let nats = RenderSettings { names: Names::Subjects, homeassistant: None, ..settings() };
    let messages = Renderer::new(nats).unwrap().log(&entry(person()), &live());
    assert_eq!(messages[0].topic, "alarmbus/98ba5f8b1003/event/person");
    assert_eq!(parsed(&messages[0])["snapshot"]["topic"], "alarmbus.98ba5f8b1003.snapshot.person");
}

#[test]
fn a_picture_that_was_thrown_away_has_no_place() {
    let mut alarm = person();
    if let Some(shot) = &mut alarm.snapshot {
        (shot.picture, shot.sha256) = (None, None);
        shot.problem = Some(SnapshotProblem::Truncated);
    }
    let messages = renderer().log(&entry(alarm), &live());
    let shot = &parsed(&messages[0])["snapshot"];
    assert_eq!(shot["problem"], "truncated");
    assert!(shot["topic"].is_null() && shot["url"].is_null() && shot["object"].is_null(), "{shot}");
}

#[test]
fn without_a_public_address_no_picture_has_one() {
    let renderer = Renderer::new(RenderSettings { public_url: None, ..settings() }).unwrap();
    let messages = renderer.log(&entry(person()), &live());
    assert!(parsed(&messages[0])["snapshot"]["url"].is_null());
}

#[test]
fn a_picture_by_itself_goes_before_its_event() {
    let snapshots = Snapshots { each: true, ..Snapshots::default() };
    let renderer = Renderer::new(RenderSettings { snapshots, ..settings() }).unwrap();
    let messages = renderer.log(&entry(person()), &live());
    let [picture, event] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((picture.part, event.part), (MessagePart::Picture, MessagePart::Event));
    assert_eq!((picture.content_type, picture.retain), ("image/jpeg", false));
    assert_eq!(picture.sha256, person().snapshot.unwrap().sha256);
    assert_eq!(picture.id, event.id);
}

#[test]
fn current_values_are_retained_at_their_topics() {
    let text = |text: &str| Content::Text(text.into());
    let alarm = || Content::Alarm(std::sync::Arc::new(person()));
    let picture = || Content::Picture(std::sync::Arc::new(person()), Bytes::from_static(b"\xff\xd8\xff"));
    let renderer = renderer();
    for (value, topic, content_type) in [
        (value(What::State, Some("person"), text("ON")), "state/person", "text/plain"),
        (value(What::Count, Some("person"), text("2")), "count/person", "text/plain"),
        (value(What::Last, None, alarm()), "last", "application/json"),
        (value(What::SnapshotInfo, None, alarm()), "snapshot_info", "application/json"),
        (value(What::SnapshotInfo, Some("person"), alarm()), "snapshot_info/person", "application/json"),
        (value(What::Snapshot, None, picture()), "snapshot", "image/jpeg"),
        (value(What::Snapshot, Some("person"), picture()), "snapshot/person", "image/jpeg"),
        (value(What::Device, None, Content::Json("{}".into())), "device", "application/json"),
    ] {
        let message = renderer.value(&value, &live()).unwrap();
        assert_eq!(message.topic, format!("alarmbus/98ba5f8b1003/{topic}"));
        assert_eq!((message.retain, message.content_type), (true, content_type), "{topic}");
        assert_eq!(Some(message.topic), renderer.topic(&(&value).into()));
    }
    let last = renderer.value(&value(What::Last, None, alarm()), &live()).unwrap();
    assert_eq!(last.payload, renderer.log(&entry(person()), &live())[0].payload);
}

#[test]
fn a_sink_leaves_out_what_it_does_not_carry() {
    let quiet = Renderer::new(RenderSettings {
        snapshots: Snapshots { latest: false, ..Snapshots::default() },
        homeassistant: Some(HomeAssistant { enabled: false, ..HomeAssistant::default() }),
        ..settings()
    });
    let picture = Content::Picture(std::sync::Arc::new(person()), Bytes::new());
    let bridge = CurrentValue { source: None, ..value(What::Discovery, None, Content::Text(String::new())) };
    let quiet = quiet.unwrap();
    for value in [
        value(What::Snapshot, None, picture),
        value(What::SnapshotInfo, None, Content::Alarm(std::sync::Arc::new(person()))),
        bridge.clone(),
    ] {
        assert_eq!(quiet.value(&value, &live()), None);
        assert_eq!(quiet.topic(&(&value).into()), None);
    }
    assert_eq!(
        renderer().value(&bridge, &live()).map(|message| message.topic).as_deref(),
        Some("homeassistant/device/alarmbus_bridge_0f3a9c/config")
    );
}

#[test]
fn an_emptied_discovery_topic_leads_back_to_its_device() {
    let source = renderer().announced_source("homeassistant/device/alarmbus_98ba5f8b1003/config");
    assert_eq!(source, Some(person().source));
    assert_eq!(renderer().announced_source("homeassistant/device/alarmbus_bridge_0f3a9c/config"), None);
}

#[test]
fn the_bridge_has_topics_of_its_own() {
    let east = Renderer::new(RenderSettings { bridge: "bridge-east".into(), ..settings() }).unwrap();
    let online = east.bridge_state(true);
    assert_eq!(
        (online.topic.as_str(), online.payload.as_ref()),
        ("alarmbus/bridge-east/state", &b"online"[..])
    );
    assert!(online.retain);
    assert_eq!(east.bridge_state(false).payload.as_ref(), b"offline");
    assert_eq!(east.bridge_token("a1").topic, "alarmbus/bridge-east/token");
    let info = CurrentValue { source: None, ..value(What::Info, None, Content::Json("{}".into())) };
    assert_eq!(east.value(&info, &live()).unwrap().topic, "alarmbus/bridge-east/info");
}

#[test]
fn bad_settings_are_refused() {
    let refused = |settings: RenderSettings| Renderer::new(settings).unwrap_err();
    let url = || Some("ftp://x".to_owned());
    assert_eq!(
        refused(RenderSettings { public_url: url(), ..settings() }),
        RenderError::PublicUrl("ftp://x".into())
    );
    let instance = RenderSettings { instance: "a b".into(), ..settings() };
    assert_eq!(refused(instance), RenderError::Instance("a b".into()));
    for level in ["camera", "get", "bridge-", "bridge-a/b"] {
        let bridge = RenderSettings { bridge: level.into(), ..settings() };
        assert_eq!(refused(bridge), RenderError::Bridge(level.into()));
    }
    let topics = Topics { last: "{base}/last".into(), ..Topics::default() };
    let error = refused(RenderSettings { topics, ..settings() }).to_string();
    assert_eq!(error, "topics.last = \"{base}/last\": it must contain {source}");
}

#[test]
fn the_longest_additions_stay_within_the_bound() {
    let long = "n".repeat(64);
    let pad = |template: &str| format!("{template}/{}", "p".repeat(255 - template.len()));
    let mut alarm = person();
    alarm.source = Source::from_known(&"s".repeat(96)).unwrap();
    alarm.event = EventName::new(&"e".repeat(64));
    (alarm.device.name, alarm.device.vendor) = (long.clone(), long);
    (alarm.seq, alarm.repeat, alarm.clock_offset_ms) = (u64::MAX, u64::MAX, Some(i64::MIN));
    for n in 0..4_000 {
        alarm.extra.insert(format!("field_{n}"), json!("value"));
    }
    bound(&mut alarm);
    let snapshots = Snapshots { latest: true, ..Snapshots::default() };
    let snapshot_event = pad("{base}/{source}/{event}/{name}/{mac}/{channel}/{vendor}");
    let renderer = Renderer::new(RenderSettings {
        base: "b".repeat(256),
        topics: Topics { snapshot_event, ..Topics::default() },
        public_url: Some(format!("http://host/{}", "u".repeat(500))),
        snapshots,
        ..settings()
    });
    let messages =
        renderer.unwrap().log(&entry(alarm), &Sending { replayed: true, picture: PictureFate::Sent });
    let size = messages[0].payload.len();
    assert!(size <= PUBLISHED_BYTES && size > PUBLISHED_BYTES - 2_048, "{size}");
    assert_eq!(parsed(&messages[0])["truncated"], true);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_a_device_says_adds_a_level_or_breaks_the_bound(
        name in ".{0,200}", vendor in ".{0,40}", event in ".{0,100}", raw in "\\PC{0,300}",
        regions in 0..4_000_usize, boxes in 0..400_usize, fields in proptest::collection::vec(".{0,400}", 0..60),
    ) {
        let mut alarm = person();
        (alarm.device.name, alarm.device.vendor) = (name, vendor);
        (alarm.event, alarm.event_raw) = (EventName::new(&event), raw);
        alarm.regions = vec![7; regions];
        alarm.boxes = vec![alarm.boxes[0]; boxes];
        alarm.extra = fields.into_iter().enumerate().map(|(n, text)| (format!("{n}{text}"), json!(text))).collect();
        bound(&mut alarm);
        let mut again = alarm.clone();
        bound(&mut again);
        proptest::prop_assert_eq!(&again, &alarm);
        let topics = Topics {
            event: "{base}/{vendor}/{source}/{name}/{event}".into(),
            ..Topics::default()
        };
        let renderer = Renderer::new(RenderSettings { topics, ..settings() }).unwrap();
        let messages = renderer.log(&entry(alarm), &live());
        let levels: Vec<&str> = messages[0].topic.split('/').collect();
        proptest::prop_assert_eq!(levels.len(), 5);
        let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        proptest::prop_assert!(levels.iter().all(|level| !level.is_empty() && level.chars().all(safe)));
        proptest::prop_assert!(messages[0].payload.len() <= PUBLISHED_BYTES);
        let document = parsed(&messages[0]);
        proptest::prop_assert_eq!(document["event"].as_str(), document["event_type"].as_str());
    }
}
