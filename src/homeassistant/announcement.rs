//! The device payload of MQTT discovery, with exactly the keys Home Assistant knows (abbreviated as it allows).

use serde::{Serialize, Serializer};

use super::Removed;

/// One device with its entities, as published to `<prefix>/device/<id>/config`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Announcement {
    /// The device.
    pub dev: Device,
    /// Who announces it; mandatory.
    pub o: Origin,
    /// When its entities are available; inherited by those without their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub avty: Vec<Availability>,
    /// `all`, where there is more than one: the default follows whichever spoke last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avty_mode: Option<&'static str>,
    /// The quality of service Home Assistant subscribes with; without it 0.
    pub qos: u8,
    /// The entities by key, in order.
    #[serde(serialize_with = "as_map")]
    pub cmps: Vec<(String, Component)>,
}

impl Announcement {
    /// The components that this announcement has and a later one has not: to be removed with it.
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
pub struct Device {
    /// Its identity: never an address or a name.
    pub ids: Vec<String>,
    /// `["mac", …]`; two devices with the same MAC become one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cns: Vec<(&'static str, String)>,
    /// Its name; never empty.
    pub name: String,
    /// Who makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mf: Option<&'static str>,
    /// What it is.
    pub mdl: &'static str,
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

/// Who announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The software.
    pub name: &'static str,
    /// Its version.
    pub sw: String,
    /// Where its users find help; a full URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A topic that says whether something is available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// The topic; `online` or `offline` unless a template makes it so.
    pub t: String,
    /// Makes `online` or `offline` of what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_tpl: Option<&'static str>,
}

/// One entity. Only `p` is needed, and that alone removes the entity. Fields that are `None` are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Component {
    /// The platform.
    pub p: String,
    /// The unique identifier, see [`ids`](super::ids).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniq_id: Option<String>,
    /// The name without the device's; `None`: named by its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The device class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev_cla: Option<&'static str>,
    /// `diagnostic`, for what is not the device's purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ent_cat: Option<&'static str>,
    /// The icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ic: Option<&'static str>,
    /// The topic of its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stat_t: Option<String>,
    /// Takes the state out of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_tpl: Option<&'static str>,
    /// The types an event may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<String>>,
    /// The payload that is on; `None`: `ON`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pl_on: Option<&'static str>,
    /// The payload that is off; `None`: `OFF`.
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
    /// Takes the attributes out of the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_attr_tpl: Option<&'static str>,
    /// Its own availability in place of the device's; empty: always available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avty: Option<Vec<Availability>>,
}

/// Writes the pairs as an object.
fn as_map<S: Serializer>(pairs: &[(String, Component)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, component)| (key, component)))
}
