//! The announcement of one device.

use super::announcement::{Announcement, AvailabilityBlock, Component, DeviceBlock, OriginBlock};
use super::{Card, Discovery, Removed, Topic, TopicOf, entities, ids};
use crate::config::mapping::maker_of;
use crate::model::DeviceKind;

/// Template that turns the device's JSON into `online` or `offline`. A device of unknown availability counts as online.
const AVAILABLE: &str = "{{ 'offline' if value_json.available == false else 'online' }}";

/// The announcement of a device.
pub(super) fn announcement(
    discovery: &Discovery,
    card: &Card,
    removed: &[Removed],
    topic_of: TopicOf<'_>,
) -> Announcement {
    let bridge = topic_of(Topic::Bridge, None).map(|t| AvailabilityBlock { t, val_tpl: None });
    let own = topic_of(Topic::Device, None).filter(|_| card.availability);
    let own = own.map(|t| AvailabilityBlock { t, val_tpl: Some(AVAILABLE) });
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

/// Origin of the announcement.
pub(super) fn origin(discovery: &Discovery) -> OriginBlock {
    OriginBlock { name: "alarmbus", sw: discovery.version.clone(), url: discovery.support_url.clone() }
}

/// The device's block.
fn device(discovery: &Discovery, card: &Card) -> DeviceBlock {
    let maker = maker_of(&card.device.vendor);
    let kind = match card.device.kind {
        DeviceKind::Camera => "camera",
        DeviceKind::Recorder => "recorder",
        DeviceKind::Channel => "recorder channel",
    };
    let said = card.model.clone().filter(|model| !model.trim().is_empty());
    let made_up = maker.as_ref().map_or_else(|| capitalized(kind), |maker| format!("{maker} {kind}"));
    let parent = card.device.parent.as_ref().map(ids::device);
    DeviceBlock {
        ids: vec![ids::device(&card.source)],
        cns: own_mac(card).into_iter().map(|mac| ("mac", mac)).collect(),
        name: name(card, maker.as_deref()),
        // VIGI is a product line of TP-Link.
        mf: maker.map(|maker| if maker == "VIGI" { "TP-Link".into() } else { maker }),
        mdl: said.unwrap_or(made_up),
        sw: None,
        sa: card.area.clone().filter(|area| !area.trim().is_empty()),
        cu: None,
        via_device: Some(parent.unwrap_or_else(|| ids::bridge(&discovery.instance))),
    }
}

/// The MAC address, if it belongs to this device alone. Home Assistant merges devices with the same MAC address, so a
/// recorder's channel and a further channel of a camera get none.
fn own_mac(card: &Card) -> Option<String> {
    let mac = card.device.mac?;
    (card.device.kind != DeviceKind::Channel && card.source.as_str() == mac.hex()).then(|| mac.to_string())
}

/// The name; never empty, since Home Assistant would show a device without a name.
fn name(card: &Card, maker: Option<&str>) -> String {
    let name = card.device.name.trim();
    if !name.is_empty() {
        return name.into();
    }
    let source = card.device.mac.map_or_else(|| card.source.to_string(), |mac| mac.hex());
    let from = source.chars().count().saturating_sub(6);
    let tail: String = source.chars().skip(from).collect();
    format!("{} {tail}", maker.unwrap_or("Camera"))
}

/// Returns a word with its first letter in upper case.
fn capitalized(word: &str) -> String {
    let mut signs = word.chars();
    signs.next().map_or_else(String::new, |first| first.to_uppercase().chain(signs).collect())
}
