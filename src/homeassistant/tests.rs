//! Announcements, compared with golden files and checked against the rules of Home Assistant.

use std::collections::HashSet;

use serde_json::Value;

use super::{Card, Discovery, KindSeen, Removed, Topic, ids};
use crate::config::HomeAssistant;
use crate::config::homeassistant::Pass;
use crate::model::record::DeviceRecord;
use crate::model::testing::{camera, golden_json};
use crate::model::{DeviceKind, EventName, Source};

fn discovery() -> Discovery {
    Discovery {
        homeassistant: HomeAssistant::default(),
        instance: "0f3a9c".into(),
        label: None,
        version: "0.1.0".into(),
        support_url: None,
        public_url: Some("http://192.168.0.10:8090".into()),
    }
}

fn seen(event: &str, picture: bool, counted: bool) -> KindSeen {
    KindSeen { event: EventName::new(event), picture, counted }
}

/// A camera that has sent every kind of data.
fn card() -> Card {
    Card {
        source: source("98ba5f8b1003"),
        device: camera(),
        model: None,
        area: None,
        kinds: vec![
            seen("person", true, true),
            seen("motion", true, false),
            seen("tamper", false, false),
            seen("doorbell", false, false),
            seen("line_of_ducks", true, true),
        ],
        entities_off: Vec::new(),
        availability: false,
    }
}

fn source(text: &str) -> Source {
    Source::from_known(text).unwrap()
}

/// The announcement of a card as JSON.
fn announced(discovery: &Discovery, card: &Card, removed: &[Removed]) -> Value {
    let topic_of = |topic, event: Option<&EventName>| {
        let event = event.map_or_else(String::new, |event| format!("/{event}"));
        let what = match topic {
            Topic::Bridge => return Some("alarmbus/bridge/state".into()),
            Topic::MuteSet => return Some(format!("alarmbus/{}/mute/set", card.source)),
            Topic::Events => "event/+",
            Topic::Event => "event",
            Topic::State => "state",
            Topic::Count => "count",
            Topic::Snapshot => "snapshot",
            Topic::SnapshotInfo => "snapshot_info",
            Topic::Last => "last",
            Topic::Device => "device",
        };
        Some(format!("alarmbus/{}/{what}{event}", card.source))
    };
    serde_json::to_value(discovery.device(card, removed, &topic_of)).unwrap()
}

/// Compares with the golden file, and checks the rules whose violation makes Home Assistant reject the device.
#[track_caller]
fn check(name: &str, document: &Value) {
    golden_json(name, document.to_string().as_bytes());
    let mut unique = HashSet::new();
    for (key, component) in document["cmps"].as_object().unwrap() {
        let id = component["uniq_id"].as_str().unwrap_or_else(|| panic!("{key} has no unique id"));
        assert!(unique.insert(id.to_owned()), "{id} is given twice");
        let name = component["name"].as_str().unwrap_or_default();
        assert!(
            !name.starts_with(document["dev"]["name"].as_str().unwrap()),
            "{key} repeats the device's name"
        );
    }
}

#[test]
fn a_camera() {
    check("discovery_camera.json", &announced(&discovery(), &card(), &[]));
}

#[test]
fn a_camera_whose_presence_is_watched() {
    let card = Card { availability: true, area: Some("Garden".into()), kinds: Vec::new(), ..card() };
    check("discovery_camera_watched.json", &announced(&discovery(), &card, &[]));
}

/// A recorder, or a channel of it; its MAC is set by configuration.
fn recorder(channel: Option<u32>) -> Card {
    let recorder = source("aabbccddee01");
    let (own, kind) = match channel {
        Some(channel) => (recorder.channel(channel), DeviceKind::Channel),
        None => (recorder.clone(), DeviceKind::Recorder),
    };
    let device = DeviceRecord {
        mac: Some("aa:bb:cc:dd:ee:01".parse().unwrap()),
        name: channel.map_or_else(|| "Recorder".into(), |channel| format!("Recorder channel {channel}")),
        kind,
        channel,
        parent: channel.map(|_| recorder),
        ..camera()
    };
    let kinds =
        vec![if channel.is_some() { seen("vehicle", true, false) } else { seen("disk_full", false, false) }];
    Card { source: own, device, kinds, ..card() }
}

#[test]
fn a_recorder_and_its_channels() {
    let (whole, channel) =
        (announced(&discovery(), &recorder(None), &[]), announced(&discovery(), &recorder(Some(1)), &[]));
    check("discovery_recorder.json", &whole);
    check("discovery_channel.json", &channel);
    assert_eq!(channel["dev"]["via_device"], whole["dev"]["ids"][0]);
    assert!(channel["dev"]["cns"].is_null(), "a channel with its recorder's MAC would become the recorder");
}

#[test]
fn the_bridge() {
    let topic_of = |what: &str| format!("alarmbus/bridge/{what}");
    let document = serde_json::to_value(discovery().bridge(&topic_of)).unwrap();
    check("discovery_bridge.json", &document);
    assert!(document["cmps"]["connectivity"]["avty"].is_null());
}

/// A document as it is published (the golden files of `render`).
fn published(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn templates_read_only_keys_that_are_always_there() {
    let documents = [
        ("event", "event_minimal"),
        ("last", "event_minimal"),
        ("device", "device"),
        ("info", "bridge_info"),
        ("health", "bridge_health"),
    ];
    let bridge = serde_json::to_value(discovery().bridge(&|what| format!("alarmbus/bridge/{what}"))).unwrap();
    let mut read = 0;
    for announcement in [announced(&discovery(), &card(), &[]), bridge] {
        for (key, component) in announcement["cmps"].as_object().unwrap() {
            let topic = component["stat_t"].as_str().unwrap_or_default();
            for template in ["val_tpl", "json_attr_tpl"].iter().filter_map(|at| component[at].as_str()) {
                let known = documents.iter().find(|(level, _)| topic.split('/').any(|part| part == *level));
                let document = published(known.unwrap_or_else(|| panic!("{key} reads {topic}")).1);
                for tail in template.split("value_json.").skip(1) {
                    let name = tail.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap();
                    assert!(document.get(name).is_some(), "{key} reads {name}");
                    read += 1;
                }
            }
        }
    }
    assert!(read > 12, "{read}");
    assert!(published("device").get("available").is_some(), "the device's availability reads it");
}

#[test]
fn a_second_channel_of_a_camera_does_not_share_its_mac() {
    let card = Card { source: source("98ba5f8b1003-2"), ..card() };
    assert!(announced(&discovery(), &card, &[])["dev"]["cns"].is_null());
}

#[test]
fn an_empty_name_is_made_up() {
    let device = DeviceRecord { name: "  ".into(), ..camera() };
    let document = announced(&discovery(), &Card { device, ..card() }, &[]);
    assert_eq!(document["dev"]["name"], "VIGI 8b1003");
}

#[test]
fn a_model_is_shown_where_the_device_says_it() {
    let document = announced(&discovery(), &Card { model: Some("MV12".into()), ..card() }, &[]);
    assert_eq!(document["dev"]["mdl"], "MV12");
}

#[test]
fn event_types_hold_everything_that_may_come() {
    let document = announced(&discovery(), &card(), &[]);
    let types: Vec<&str> = document["cmps"]["alarm"]["event_types"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(types.is_sorted());
    for kind in ["person", "line_of_ducks", "other", "unknown"] {
        assert_eq!(types.iter().filter(|known| **known == kind).count(), 1, "{kind}");
    }
}

#[test]
fn settings_say_what_fires() {
    let template = |repeats, late_alarms| {
        let homeassistant = HomeAssistant { repeats, late_alarms, ..HomeAssistant::default() };
        let discovery = Discovery { homeassistant, ..discovery() };
        announced(&discovery, &card(), &[])["cmps"]["alarm"]["val_tpl"].clone()
    };
    for repeats in [Pass::Fire, Pass::Skip] {
        let late = template(repeats, Pass::Fire).to_string();
        assert!(late.contains("not value_json.muted") && !late.contains("replayed"), "{late}");
    }
    let repeats = template(Pass::Fire, Pass::Skip).to_string();
    assert!(!repeats.contains("phase") && repeats.contains("replayed"), "{repeats}");
    let late = template(Pass::Skip, Pass::Fire).to_string();
    assert!(late.contains("phase") && !late.contains("replayed"), "{late}");
}

#[test]
fn a_kind_left_out_by_setting_takes_all_its_entities_with_it() {
    let hidden = Card { entities_off: vec!["person".into(), "ip".into()], ..card() };
    let document = announced(&discovery(), &hidden, &[]);
    for (key, component) in document["cmps"].as_object().unwrap() {
        let bare = component.as_object().unwrap().len() == 1;
        assert_eq!(bare, key.contains("person") || key == "ip", "{key}: {component}");
    }
    assert_eq!(document["cmps"]["snapshot-person"].to_string(), r#"{"p":"image"}"#);
}

#[test]
fn images_go_when_pictures_are_no_longer_published() {
    let topic_of = |topic, _: Option<&EventName>| (topic != Topic::Snapshot).then(|| "t".into());
    let document = serde_json::to_value(discovery().device(&card(), &[], &topic_of)).unwrap();
    for key in ["snapshot", "snapshot-person"] {
        assert_eq!(document["cmps"][key].to_string(), r#"{"p":"image"}"#);
    }
}

#[test]
fn a_component_that_is_gone_is_named_once_more_with_its_platform() {
    let gone = |key: &str| Removed { key: key.into(), platform: "binary_sensor".into() };
    let document = announced(&discovery(), &card(), &[gone("vehicle"), gone("person")]);
    assert_eq!(document["cmps"]["vehicle"].to_string(), r#"{"p":"binary_sensor"}"#);
    assert!(document["cmps"]["person"]["uniq_id"].is_string(), "what is there stays");
}

#[test]
fn what_goes_away_with_a_new_card_is_found() {
    let topic_of = |_, _: Option<&EventName>| Some("t".into());
    let (before, after) = (card(), Card { kinds: vec![seen("motion", true, false)], ..card() });
    let (old, new) =
        (discovery().device(&before, &[], &topic_of), discovery().device(&after, &[], &topic_of));
    let keys: Vec<String> =
        old.gone_in(&new).into_iter().map(|gone| format!("{} {}", gone.platform, gone.key)).collect();
    assert_eq!(keys[..2], ["event doorbell", "binary_sensor line_of_ducks"]);
    assert_eq!(keys.len(), 8, "{keys:?}");
    assert!(new.gone_in(&old).is_empty());
}

#[test]
fn a_discovery_topic_leads_back_to_its_source() {
    let discovery = discovery();
    let source = source("98ba5f8b1003-2");
    assert_eq!(discovery.source_of(&discovery.device_topic(&source)), Some(source.clone()));
    assert_eq!(discovery.source_of(&discovery.bridge_topic()), None);
    assert_eq!(discovery.source_of("homeassistant/device/zigbee_1/config"), None);
    assert_eq!(ids::device(&source), "alarmbus_98ba5f8b1003-2");
}

#[test]
fn new_kinds_have_the_classes_that_home_assistant_knows() {
    let kinds = [
        "smoke",
        "co",
        "tamper",
        "glass_break",
        "water_leak",
        "battery_low",
        "pir",
        "alarm_input",
        "doorbell",
    ];
    let card = Card { kinds: kinds.map(|kind| seen(kind, false, false)).to_vec(), ..card() };
    let document = announced(&discovery(), &card, &[]);
    let class = |key: &str| document["cmps"][key]["dev_cla"].as_str().map(str::to_owned);
    for (key, expected) in [
        ("smoke", "smoke"),
        ("co", "carbon_monoxide"),
        ("tamper", "tamper"),
        ("glass_break", "sound"),
        ("water_leak", "moisture"),
        ("battery_low", "battery"),
        ("pir", "motion"),
        ("alarm_input", "safety"),
        ("doorbell", "doorbell"),
    ] {
        assert_eq!(class(key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(class("door-contact"), None);
}

#[test]
fn a_door_is_a_door_and_a_device_has_its_maker() {
    let device = DeviceRecord { vendor: "hikvision".into(), name: String::new(), ..camera() };
    let card = Card { device, kinds: vec![seen("door_open", false, false)], ..card() };
    let document = announced(&discovery(), &card, &[]);
    let door = &document["cmps"]["door-contact"];
    assert_eq!((door["p"].as_str(), door["dev_cla"].as_str()), (Some("binary_sensor"), Some("door")));
    assert!(door["stat_t"].as_str().unwrap().ends_with("/event/+"));
    let device = &document["dev"];
    assert_eq!(
        (device["mf"].as_str(), device["mdl"].as_str()),
        (Some("Hikvision"), Some("Hikvision camera"))
    );
    assert_eq!(device["name"], "Hikvision 8b1003");
}
