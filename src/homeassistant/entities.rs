//! The entities of a device.

use std::collections::BTreeSet;

use super::announcement::{Availability, Component};
use super::{Card, Discovery, KindSeen, Topic, TopicOf, ids};
use crate::config::HomeAssistant;
use crate::config::homeassistant::Pass;
use crate::model::event::KINDS;
use crate::model::{EventName, Mode};

/// The kind that has an event entity of its own.
pub(super) const DOORBELL: &str = "doorbell";
/// A diagnostic entity.
const DIAGNOSTIC: Option<&str> = Some("diagnostic");
/// Rings once for each press; Home Assistant's doorbell class knows only `ring`.
const RING: &str = "{{ {'event_type': 'ring', 'id': value_json.id, 'time': value_json.time} | tojson \
                    if not value_json.replayed else '' }}";
/// The same, late ones too.
const RING_ALWAYS: &str =
    "{{ {'event_type': 'ring', 'id': value_json.id, 'time': value_json.time} | tojson }}";

/// Key and entity.
type Entity = (String, Component);

/// All entities of a device, each in its fixed place.
///
/// One that is left out by setting, or whose topic is no longer published, is named with its platform alone: that
/// removes it where it was known, and does nothing where it was not (seen on a real Home Assistant, at first sight
/// and after its restart). So nobody has to remember what was announced before.
pub(super) fn of(discovery: &Discovery, card: &Card, topic_of: TopicOf<'_>) -> Vec<Entity> {
    let off = |name: &str| card.entities_off.iter().any(|off| off == name);
    let mut kinds: Vec<&KindSeen> = card.kinds.iter().collect();
    kinds.sort_by(|one, other| one.event.cmp(&other.event));
    let mut all = Vec::from_iter(alarm(discovery, card, topic_of));
    for kind in kinds {
        let gone = off(kind.event.as_str());
        let entities = by_kind(discovery, kind, topic_of).into_iter();
        all.extend(entities.map(|(key, entity)| (key, if gone { bare(&entity) } else { entity })));
    }
    if card.kinds.iter().any(|kind| kind.picture) {
        all.push(snapshot(topic_of, None));
    }
    all.extend(latest(topic_of).into_iter().chain(diagnostics(topic_of)).flatten());
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

/// Only its platform, which removes it.
fn bare(entity: &Component) -> Component {
    platform(&entity.p)
}

/// The event entity: once per activity, whatever the kind.
///
/// It has no availability, so that a bridge that comes back fires nothing.
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

/// The template that lets through what may fire; none when everything may.
fn passing(homeassistant: &HomeAssistant) -> Option<&'static str> {
    match (homeassistant.repeats, homeassistant.late_alarms) {
        (Pass::Skip, Pass::Skip) => {
            Some("{{ value if value_json.phase != 'update' and not value_json.replayed else '' }}")
        }
        (Pass::Skip, Pass::Fire) => Some("{{ value if value_json.phase != 'update' else '' }}"),
        (Pass::Fire, Pass::Skip) => Some("{{ value if not value_json.replayed else '' }}"),
        (Pass::Fire, Pass::Fire) => None,
    }
}

/// The entities of one kind: its state, how many, its picture; for a doorbell the ring.
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
        // Named by its class, in the user's language.
        name: if event.as_str() == "motion" { None } else { Some(event.title()) },
        dev_cla: kind.and_then(|kind| kind.class),
        ic: kind.and_then(|kind| kind.icon),
        stat_t: Some(topic_of(Topic::State, Some(event))?),
        ..platform("binary_sensor")
    };
    Some((ids::state(event), component))
}

/// How many objects of a kind there are.
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

/// The doorbell's own event entity, which Home Assistant treats as one.
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

/// When and what the latest alarm was.
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

/// What is known of the device itself. When it was last heard is shown of an unavailable device too.
fn diagnostics(topic_of: TopicOf<'_>) -> [Option<Entity>; 3] {
    let topic = topic_of(Topic::Device, None);
    let bridge = topic_of(Topic::Bridge, None).map(|t| Availability { t, val_tpl: None });
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

/// A sensor that reads a topic; none where nothing is published.
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
