//! The announcement of one device.

use super::announcement::{Announcement, Availability, Component, Device, Origin};
use super::{Card, Discovery, Removed, Topic, TopicOf, entities, ids};
use crate::model::DeviceKind;

/// Makes `online` or `offline` of the device's JSON. Nothing known of it is no reason to call it gone.
const AVAILABLE: &str = "{{ 'offline' if value_json.available == false else 'online' }}";

/// The whole announcement.
pub(super) fn announcement(
    discovery: &Discovery,
    card: &Card,
    removed: &[Removed],
    topic_of: TopicOf<'_>,
) -> Announcement {
    let bridge = topic_of(Topic::Bridge, None).map(|t| Availability { t, val_tpl: None });
    let own = topic_of(Topic::Device, None).filter(|_| card.availability);
    let own = own.map(|t| Availability { t, val_tpl: Some(AVAILABLE) });
    let avty: Vec<_> = bridge.into_iter().chain(own).collect();
    let mut cmps = entities::of(discovery, card, topic_of);
    for gone in removed {
        if cmps.iter().all(|(key, _)| *key != gone.key) {
            cmps.push((gone.key.clone(), Component { p: gone.platform.clone(), ..Component::default() }));
        }
    }
    let avty_mode = (avty.len() > 1).then_some("all");
    Announcement { dev: device(discovery, card), o: origin(discovery), avty, avty_mode, qos: 1, cmps }
}

/// Who announces.
pub(super) fn origin(discovery: &Discovery) -> Origin {
    Origin { name: "alarmbus", sw: discovery.version.clone(), url: discovery.support_url.clone() }
}

/// The device's block.
fn device(discovery: &Discovery, card: &Card) -> Device {
    let vigi = card.device.vendor == "vigi";
    let mdl = match (card.device.kind, vigi) {
        (DeviceKind::Camera, true) => "VIGI camera",
        (DeviceKind::Recorder, true) => "VIGI recorder",
        (DeviceKind::Channel, true) => "VIGI recorder channel",
        (DeviceKind::Camera, false) => "Camera",
        (DeviceKind::Recorder, false) => "Recorder",
        (DeviceKind::Channel, false) => "Recorder channel",
    };
    let parent = card.device.parent.as_ref().map(ids::device);
    Device {
        ids: vec![ids::device(&card.source)],
        cns: own_mac(card).into_iter().map(|mac| ("mac", mac)).collect(),
        name: name(card, vigi),
        mf: vigi.then_some("TP-Link"),
        mdl,
        sw: None,
        sa: card.area.clone().filter(|area| !area.trim().is_empty()),
        cu: None,
        via_device: Some(parent.unwrap_or_else(|| ids::bridge(&discovery.instance))),
    }
}

/// The MAC, where it is this device's alone: devices with the same MAC become one in Home Assistant, so neither a
/// recorder's channel nor a further channel of a camera gets that of its box.
fn own_mac(card: &Card) -> Option<String> {
    let mac = card.device.mac?;
    (card.device.kind != DeviceKind::Channel && card.source.as_str() == mac.hex()).then(|| mac.to_string())
}

/// The name; an empty one would make the device nameless.
fn name(card: &Card, vigi: bool) -> String {
    let name = card.device.name.trim();
    if !name.is_empty() {
        return name.into();
    }
    let source = card.device.mac.map_or_else(|| card.source.to_string(), |mac| mac.hex());
    let from = source.chars().count().saturating_sub(6);
    let tail: String = source.chars().skip(from).collect();
    format!("{} {tail}", if vigi { "VIGI" } else { "Camera" })
}
