//! The announcement of the bridge itself.

use super::announcement::{Announcement, AvailabilityBlock, Component, DeviceBlock};
use super::device::origin;
use super::entities::{named, platform};
use super::ids::of_bridge as keys;
use super::{Discovery, ids};

/// Template that extracts the problems from the health document.
const PROBLEMS: &str = "{{ {'problems': value_json.problems} | tojson }}";

/// The announcement of the bridge. It has no availability, since the connectivity entity must show "off" and not
/// "unavailable".
pub(super) fn announcement(discovery: &Discovery, topic_of: &dyn Fn(&str) -> String) -> Announcement {
    let id = ids::bridge(&discovery.instance);
    let cmps = components(topic_of).into_iter().map(|(key, component)| {
        let uniq_id = Some(ids::unique(&id, key));
        (key.into(), Component { uniq_id, ent_cat: Some("diagnostic"), ..component })
    });
    let cmps = cmps.collect();
    let dev = DeviceBlock {
        ids: vec![id],
        cns: Vec::new(),
        name: discovery.label.as_ref().map_or_else(|| "alarmbus".into(), |label| format!("alarmbus {label}")),
        mf: Some("alarmbus".into()),
        mdl: "Alarm bridge".into(),
        sw: Some(discovery.version.clone()),
        sa: None,
        cu: discovery.public_url.clone(),
        via_device: None,
    };
    Announcement { dev, o: origin(discovery), avty: Vec::new(), avty_mode: None, qos: 1, cmps }
}

/// Entities of the bridge.
fn components(topic_of: &dyn Fn(&str) -> String) -> Vec<(&'static str, Component)> {
    let avty = vec![AvailabilityBlock { t: topic_of("state"), val_tpl: None }];
    let reading = |topic: &str, name, val_tpl| Component {
        name: named(name),
        stat_t: Some(topic_of(topic)),
        val_tpl: Some(val_tpl),
        avty: Some(avty.clone()),
        ..platform("sensor")
    };
    let connectivity = Component {
        dev_cla: Some("connectivity"),
        stat_t: Some(topic_of("state")),
        pl_on: Some("online"),
        pl_off: Some("offline"),
        ..platform("binary_sensor")
    };
    let started = reading("info", "Started", "{{ value_json.started }}");
    let version = reading("info", "Version", "{{ value_json.version }}");
    let backlog = reading("health", "Backlog", "{{ value_json.backlog }}");
    let parked = reading("health", "Parked", "{{ value_json.parked }}");
    let problems = reading("health", "Problems", "{{ value_json.problems | length }}");
    let alarms = reading("health", "Alarms received", "{{ value_json.alarms }}");
    let measured = |component, ic| Component { stat_cla: Some("measurement"), ic: Some(ic), ..component };
    vec![
        (keys::CONNECTIVITY, connectivity),
        (keys::STARTED, Component { dev_cla: Some("timestamp"), ..started }),
        (keys::VERSION, Component { ic: Some("mdi:tag"), ..version }),
        (keys::BACKLOG, measured(backlog, "mdi:tray-full")),
        (keys::PARKED, measured(parked, "mdi:tray-alert")),
        (
            keys::PROBLEMS,
            Component {
                json_attr_t: Some(topic_of("health")),
                json_attr_tpl: Some(PROBLEMS),
                ..measured(problems, "mdi:alert-circle-outline")
            },
        ),
        (keys::ALARMS, Component { stat_cla: Some("total_increasing"), ic: Some("mdi:counter"), ..alarms }),
    ]
}
