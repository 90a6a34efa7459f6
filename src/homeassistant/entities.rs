//! The entities of a device.

use std::collections::BTreeSet;

use super::announcement::{AvailabilityBlock, Component};
use super::{Card, Discovery, KindSeen, Topic, TopicOf, ids};
use crate::config::HomeAssistant;
use crate::config::homeassistant::Pass;
use crate::model::event::KINDS;
use crate::model::{EventName, Mode};

/// The kind that has an event entity of its own.
pub(super) const DOORBELL: &str = "doorbell";
/// A diagnostic entity.
const DIAGNOSTIC: Option<&str> = Some("diagnostic");
/// Template of the doorbell event: one `ring` per press. Home Assistant's doorbell class knows only `ring`.
const RING: &str = "{{ {'event_type': 'ring', 'id': value_json.id, 'time': value_json.time} | tojson \
                    if not value_json.replayed and not value_json.muted else '' }}";
/// The same template, which also fires for late alarms.
const RING_ALWAYS: &str = "{{ {'event_type': 'ring', 'id': value_json.id, 'time': value_json.time} | tojson \
                           if not value_json.muted else '' }}";

/// Template that turns door events into ON and OFF; any other event leaves the state as it is.
const DOOR_STATE: &str = "{{ {'door_open': 'ON', 'door_closed': 'OFF'}.get(value_json.event_type, '') if not value_json.replayed else '' }}";

/// Key and entity.
type Entity = (String, Component);

/// All entities of a device, each in its fixed place.
///
/// An entity that is disabled by configuration, or whose topic is no longer published, is listed with its platform
/// alone. This removes it where Home Assistant knows it and does nothing where it does not (tested with a real Home
/// Assistant, at first discovery and after a restart), so earlier announcements need not be remembered.
pub(super) fn of(discovery: &Discovery, card: &Card, topic_of: TopicOf<'_>) -> Vec<Entity> {
    let off = |name: &str| card.entities_off.iter().any(|off| off == name);
    let mut kinds: Vec<&KindSeen> = card.kinds.iter().collect();
    kinds.sort_by(|one, other| one.event.cmp(&other.event));
    let mut all = Vec::from_iter(alarm(discovery, card, topic_of));
    let seen = kinds.clone();
    for kind in kinds {
        let gone = off(kind.event.as_str());
        let entities = by_kind(discovery, kind, topic_of).into_iter();
        all.extend(entities.map(|(key, entity)| (key, if gone { bare(&entity) } else { entity })));
    }
    all.extend(door(&seen, topic_of));
    if card.kinds.iter().any(|kind| kind.picture) {
        all.push(snapshot(topic_of, None));
    }
    all.extend(latest(topic_of).into_iter().chain(diagnostics(topic_of)).flatten());
    all.push(mute(topic_of));
    let device = ids::device(&card.source);
    for (key, entity) in &mut all {
        if off(key) {
            *entity = bare(entity);
        }
        if *entity != bare(entity) {
            entity.uniq_id = Some(ids::unique(&device, key));
        }
    }
    all
}

/// Reduces an entity to its platform, which removes it.
fn bare(entity: &Component) -> Component {
    platform(&entity.p)
}

/// The event entity: once per activity, whatever the kind.
///
/// It has no availability, so that it fires no event when the bridge comes back.
fn alarm(discovery: &Discovery, card: &Card, topic_of: TopicOf<'_>) -> Option<Entity> {
    let known = KINDS.iter().map(|kind| kind.slug);
    let seen = card.kinds.iter().map(|kind| kind.event.as_str());
    let types: BTreeSet<&str> = known.chain(seen).chain(["other"]).collect();
    let component = Component {
        name: named("Alarm"),
        ic: Some("mdi:cctv"),
        stat_t: Some(topic_of(Topic::Events, None)?),
        val_tpl: passing(&discovery.homeassistant),
        event_types: Some(types.into_iter().map(Into::into).collect()),
        avty: Some(Vec::new()),
        ..platform("event")
    };
    Some((ids::ALARM.into(), component))
}

/// The template that selects the alarms that fire the event entity. Muted alarms never fire it.
fn passing(homeassistant: &HomeAssistant) -> Option<&'static str> {
    Some(match (homeassistant.repeats, homeassistant.late_alarms) {
        (Pass::Skip, Pass::Skip) => {
            "{{ value if value_json.phase != 'update' and not value_json.replayed and not value_json.muted else '' }}"
        }
        (Pass::Skip, Pass::Fire) => {
            "{{ value if value_json.phase != 'update' and not value_json.muted else '' }}"
        }
        (Pass::Fire, Pass::Skip) => "{{ value if not value_json.replayed and not value_json.muted else '' }}",
        (Pass::Fire, Pass::Fire) => "{{ value if not value_json.muted else '' }}",
    })
}

/// Entities of one kind: its state, its number of objects, its picture, and the ring of a doorbell.
fn by_kind(discovery: &Discovery, kind: &KindSeen, topic_of: TopicOf<'_>) -> Vec<Entity> {
    let entities = [
        state(&kind.event, topic_of),
        kind.counted.then(|| count(&kind.event, topic_of)).flatten(),
        kind.picture.then(|| snapshot(topic_of, Some(&kind.event))),
        doorbell(discovery, &kind.event, topic_of),
    ];
    entities.into_iter().flatten().collect()
}

/// The binary sensor of a kind that has a state.
fn state(event: &EventName, topic_of: TopicOf<'_>) -> Option<Entity> {
    if event.mode() == Mode::Moment {
        return None;
    }
    let kind = event.kind();
    let component = Component {
        // The device class gives the name, in the user's language.
        name: if event.as_str() == "motion" { None } else { Some(event.title()) },
        dev_cla: kind.and_then(|kind| kind.class),
        ic: kind.and_then(|kind| kind.icon),
        stat_t: Some(topic_of(Topic::State, Some(event))?),
        ..platform("binary_sensor")
    };
    Some((ids::state(event), component))
}

/// The sensor of the number of objects of a kind.
fn count(event: &EventName, topic_of: TopicOf<'_>) -> Option<Entity> {
    let people = event.as_str() == "person";
    let component = Component {
        name: Some(if people { "People".into() } else { format!("{} count", event.title()) }),
        ic: if people { Some("mdi:account-multiple") } else { Some("mdi:counter") },
        stat_cla: Some("measurement"),
        stat_t: Some(topic_of(Topic::Count, Some(event))?),
        ..platform("sensor")
    };
    Some((ids::count(event), component))
}

/// The latest picture, of a kind or of any.
fn snapshot(topic_of: TopicOf<'_>, event: Option<&EventName>) -> Entity {
    let key = event.map_or_else(|| ids::SNAPSHOT.into(), ids::snapshot);
    let Some(topic) = topic_of(Topic::Snapshot, event) else { return (key, platform("image")) };
    let component = Component {
        name: Some(event.map_or_else(|| "Snapshot".into(), |event| format!("{} snapshot", event.title()))),
        img_t: Some(topic),
        cont_type: Some("image/jpeg"),
        json_attr_t: topic_of(Topic::SnapshotInfo, event),
        ..platform("image")
    };
    (key, component)
}

/// The event entity of a doorbell, with Home Assistant's doorbell class.
fn doorbell(discovery: &Discovery, event: &EventName, topic_of: TopicOf<'_>) -> Option<Entity> {
    if event.as_str() != DOORBELL {
        return None;
    }
    let late = discovery.homeassistant.late_alarms == Pass::Fire;
    let component = Component {
        name: named("Doorbell"),
        dev_cla: Some("doorbell"),
        stat_t: Some(topic_of(Topic::Event, Some(event))?),
        val_tpl: Some(if late { RING_ALWAYS } else { RING }),
        event_types: Some(vec!["ring".into()]),
        avty: Some(Vec::new()),
        ..platform("event")
    };
    Some((ids::DOORBELL.into(), component))
}

/// Returns whether a door is open, of a device that says when one opens and closes.
///
/// It has no retained topic of its own: after a restart of Home Assistant it is unknown until the door moves.
fn door(kinds: &[&KindSeen], topic_of: TopicOf<'_>) -> Option<Entity> {
    let moves = |kind: &&&KindSeen| ["door_open", "door_closed"].contains(&kind.event.as_str());
    kinds.iter().find(moves)?;
    let component = Component {
        name: named("Door"),
        dev_cla: Some("door"),
        stat_t: Some(topic_of(Topic::Events, None)?),
        val_tpl: Some(DOOR_STATE),
        ..platform("binary_sensor")
    };
    Some((ids::DOOR.into(), component))
}

/// The sensors of time and kind of the latest alarm.
fn latest(topic_of: TopicOf<'_>) -> [Option<Entity>; 2] {
    let topic = topic_of(Topic::Last, None);
    let when = Component {
        name: named("Last alarm"),
        dev_cla: Some("timestamp"),
        val_tpl: Some("{{ value_json.time }}"),
        json_attr_t: topic.clone(),
        ..platform("sensor")
    };
    let what = Component {
        name: named("Last alarm type"),
        ic: Some("mdi:tag-outline"),
        val_tpl: Some("{{ value_json.event_type }}"),
        ..platform("sensor")
    };
    [reading(ids::LAST_ALARM, topic.as_ref(), when), reading(ids::LAST_KIND, topic.as_ref(), what)]
}

/// Diagnostic entities of the device. The time it was last heard is also shown while the device is unavailable.
fn diagnostics(topic_of: TopicOf<'_>) -> [Option<Entity>; 3] {
    let topic = topic_of(Topic::Device, None);
    let bridge = topic_of(Topic::Bridge, None).map(|t| AvailabilityBlock { t, val_tpl: None });
    let clock_offset = Component {
        name: named("Clock offset"),
        ic: Some("mdi:clock-alert-outline"),
        val_tpl: Some("{{ value_json.clock_offset_ms }}"),
        unit_of_meas: Some("ms"),
        stat_cla: Some("measurement"),
        ent_cat: DIAGNOSTIC,
        ..platform("sensor")
    };
    let last_heard = Component {
        name: named("Last heard"),
        dev_cla: Some("timestamp"),
        val_tpl: Some("{{ value_json.last_heard }}"),
        ent_cat: DIAGNOSTIC,
        avty: bridge.map(|bridge| vec![bridge]),
        ..platform("sensor")
    };
    let ip = Component {
        name: named("IP address"),
        ic: Some("mdi:ip-network"),
        val_tpl: Some("{{ value_json.ip }}"),
        ent_cat: DIAGNOSTIC,
        ..platform("sensor")
    };
    [
        reading(ids::CLOCK_OFFSET, topic.as_ref(), clock_offset),
        reading(ids::LAST_HEARD, topic.as_ref(), last_heard),
        reading(ids::IP, topic.as_ref(), ip),
    ]
}

/// The switch that mutes the device. Alarms of a muted device are delivered but fire no event entity.
fn mute(topic_of: TopicOf<'_>) -> Entity {
    let topics = topic_of(Topic::MuteSet, None).zip(topic_of(Topic::Device, None));
    let Some((set, device)) = topics else { return (ids::MUTE.into(), platform("switch")) };
    let component = Component {
        name: named("Mute"),
        ic: Some("mdi:bell-off-outline"),
        stat_t: Some(device),
        cmd_t: Some(set),
        val_tpl: Some("{{ 'ON' if value_json.muted else 'OFF' }}"),
        ent_cat: Some("config"),
        ..platform("switch")
    };
    (ids::MUTE.into(), component)
}

/// A sensor for a topic; `None` when the topic is not published.
fn reading(key: &str, topic: Option<&String>, component: Component) -> Option<Entity> {
    Some((key.into(), Component { stat_t: Some(topic?.clone()), ..component }))
}

/// An entity of a platform.
pub(super) fn platform(name: &str) -> Component {
    Component { p: name.into(), ..Component::default() }
}

/// A name.
pub(super) fn named(text: &str) -> Option<String> {
    Some(text.into())
}
