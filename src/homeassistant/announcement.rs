//! The device payload of MQTT discovery, with exactly the keys Home Assistant knows (abbreviated as it allows).

use serde::{Serialize, Serializer};

use super::Removed;

/// One device with its entities, as published to `<prefix>/device/<id>/config`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Announcement {
    /// The device.
    pub dev: DeviceBlock,
    /// The origin of the announcement; Home Assistant requires it.
    pub o: OriginBlock,
    /// Availability of its entities; entities without their own inherit it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub avty: Vec<AvailabilityBlock>,
    /// `all` where there are several availability topics: with Home Assistant's default, `latest`, the last message
    /// decides alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avty_mode: Option<&'static str>,
    /// The quality of service Home Assistant subscribes with; without it 0.
    pub qos: u8,
    /// The entities by key, in order.
    #[serde(serialize_with = "as_map")]
    pub cmps: Vec<(String, Component)>,
}

impl Announcement {
    /// Returns the components that are in this announcement and not in a later one, so that they can be removed.
    #[must_use]
    pub fn gone_in(&self, later: &Self) -> Vec<Removed> {
        let gone = self.cmps.iter().filter(|(key, component)| {
            component.uniq_id.is_some() && later.cmps.iter().all(|(other, _)| other != key)
        });
        gone.map(|(key, component)| Removed { key: key.clone(), platform: component.p.clone() }).collect()
    }
}

/// The device. Fields that are `None` are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceBlock {
    /// Identifiers of the device; never a network address or a name, since those change.
    pub ids: Vec<String>,
    /// `["mac", …]`; two devices with the same MAC become one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cns: Vec<(&'static str, String)>,
    /// Its name; never empty.
    pub name: String,
    /// The manufacturer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mf: Option<String>,
    /// The model.
    pub mdl: String,
    /// Its software's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sw: Option<String>,
    /// The area to put it in at first sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sa: Option<String>,
    /// Its own page; a full URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cu: Option<String>,
    /// The device it is reached by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via_device: Option<String>,
}

/// Origin of an announcement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginBlock {
    /// The software.
    pub name: &'static str,
    /// Its version.
    pub sw: String,
    /// Support page; a full URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An availability topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AvailabilityBlock {
    /// The topic; `online` or `offline` unless a template makes it so.
    pub t: String,
    /// Template that turns the payload into `online` or `offline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_tpl: Option<&'static str>,
}

/// One entity. Only `p` is required; an entity with `p` alone is removed. Fields that are `None` are omitted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Component {
    /// The platform.
    pub p: String,
    /// The unique identifier, see [`ids`](super::ids).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniq_id: Option<String>,
    /// The entity's name without the device's name; `None`: Home Assistant names it after its device class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The device class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev_cla: Option<&'static str>,
    /// `diagnostic` for entities that describe the device itself and not its alarms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ent_cat: Option<&'static str>,
    /// The icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ic: Option<&'static str>,
    /// The topic of its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat_t: Option<String>,
    /// The topic of its commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd_t: Option<String>,
    /// Template that extracts the state from the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_tpl: Option<&'static str>,
    /// The types an event may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
    /// Payload of ON; `None`: `ON`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pl_on: Option<&'static str>,
    /// Payload of OFF; `None`: `OFF`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pl_off: Option<&'static str>,
    /// `measurement` or `total_increasing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat_cla: Option<&'static str>,
    /// The unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_of_meas: Option<&'static str>,
    /// The topic of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub img_t: Option<String>,
    /// The MIME type of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cont_type: Option<&'static str>,
    /// The topic of its attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_attr_t: Option<String>,
    /// Template that extracts the attributes from the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_attr_tpl: Option<&'static str>,
    /// Its own availability in place of the device's; empty: always available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avty: Option<Vec<AvailabilityBlock>>,
}

/// Writes the pairs as an object.
fn as_map<S: Serializer>(pairs: &[(String, Component)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, component)| (key, component)))
}
