//! Secret webhook paths in the storage folder: the generated one, those of `alarmbus webhook add`, and retired ones
//! that are still accepted.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::app::secrets::{new_path, write_private};
use crate::config::mapping;
use crate::model::Source;
use crate::web::NewWebhook;

/// Id of the generated webhook.
pub(crate) const GENERATED: &str = "default";

/// Secret webhook paths in the storage folder.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredWebhooks {
    /// Generated path, used while the configuration has no webhook.
    pub generated: Option<String>,
    /// Webhooks of `alarmbus webhook add`.
    pub added: Vec<AddedWebhook>,
    /// Retired paths that are still accepted.
    pub retired: Vec<RetiredWebhook>,
}

/// Webhook of `alarmbus webhook add`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AddedWebhook {
    /// Id of the webhook.
    pub id: String,
    /// Path, including the secret part.
    pub path: String,
    /// Vendor, unless it is `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Identifier of the device that all its alarms are assigned to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Mapping files; relative paths start at the storage folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mapping: Vec<PathBuf>,
}

/// Former path of a webhook that was rotated.
#[derive(Clone, Serialize, Deserialize)]
pub struct RetiredWebhook {
    /// Id of the webhook.
    pub id: String,
    /// Former path, including the secret part.
    pub path: String,
    /// Time at which it expires.
    pub until: Timestamp,
}

impl StoredWebhooks {
    /// Adds a webhook; `taken` holds the ids in use by the configuration.
    ///
    /// # Errors
    /// Fails when the id is in use, the vendor is unknown or the device identifier is invalid.
    pub fn add(&mut self, new: &NewWebhook, taken: &[String]) -> Result<AddedWebhook, String> {
        let id = new.id.as_str();
        let known = id == GENERATED
            || taken.iter().any(|other| other == id)
            || self.added.iter().any(|other| other.id == id);
        if known {
            return Err(format!(
                "there is a webhook {id:?} already: choose another name, or rotate that one"
            ));
        }
        if let Some(vendor) =
            new.vendor.as_ref().filter(|vendor| mapping::vendors().all(|known| known != **vendor))
        {
            let all = mapping::vendors().collect::<Vec<_>>().join(", ");
            return Err(format!("{vendor:?} is not a known vendor: choose one of {all}"));
        }
        if let Some(device) = new.device.as_ref().filter(|device| Source::of_id(device).is_none()) {
            return Err(format!("{device:?} names no device: use letters and digits, such as yard"));
        }
        let added = AddedWebhook {
            id: id.to_owned(),
            path: new_path(),
            vendor: new.vendor.clone(),
            device: new.device.clone(),
            mapping: new.mapping.iter().map(PathBuf::from).collect(),
        };
        self.added.push(added.clone());
        Ok(added)
    }

    /// Gives a webhook a new path; the former path is accepted for `overlap_seconds` more.
    ///
    /// # Errors
    /// Fails when no stored webhook has this id.
    pub fn rotate(&mut self, id: &str, overlap_seconds: u64, now: Timestamp) -> Result<AddedWebhook, String> {
        let added = self.added.iter_mut().find(|added| added.id == id).map(|added| &mut added.path);
        let generated = if id == GENERATED { self.generated.as_mut() } else { None };
        let Some(path) = added.or(generated) else {
            return Err(format!(
                "there is no stored webhook {id:?}: one of the configuration is changed there"
            ));
        };
        let old = std::mem::replace(path, new_path());
        let new = path.clone();
        let overlap = SignedDuration::from_secs(i64::try_from(overlap_seconds).unwrap_or(i64::MAX));
        let until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
        self.retired.retain(|retired| now < retired.until);
        if overlap_seconds > 0 {
            self.retired.push(RetiredWebhook { id: id.to_owned(), path: old, until });
        }
        Ok(AddedWebhook { id: id.to_owned(), path: new, ..AddedWebhook::default() })
    }
}

/// Folder of the mapping files that were created on the page.
const MAPPINGS: &str = "mappings";

/// Stores a mapping file in the storage folder and returns its path.
///
/// # Errors
/// Fails when another file has this name, or it cannot be written.
pub(in crate::app) fn save_mapping(storage: &Path, name: &str, text: &str) -> Result<String, String> {
    let path = storage.join(MAPPINGS).join(format!("{name}.toml"));
    let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(there) if there == text => return Ok(shown),
        Ok(_) => return Err(format!("there is another file {shown}: choose another name for the mapping")),
        Err(_) => {}
    }
    let write = || {
        std::fs::create_dir_all(storage.join(MAPPINGS))?;
        write_private(&path, text.as_bytes())
    };
    write().map_err(|error| format!("{shown} cannot be written: {error}"))?;
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_path_stays_valid_for_the_time_given_and_no_longer() {
        let mut kept = StoredWebhooks { generated: Some("/alarm/old".into()), ..StoredWebhooks::default() };
        let now = Timestamp::now();
        let new = kept.rotate(GENERATED, 60, now).unwrap();
        assert_eq!(kept.generated.as_deref(), Some(new.path.as_str()));
        assert_eq!(
            (kept.retired[0].path.as_str(), kept.retired[0].until),
            ("/alarm/old", now + SignedDuration::from_secs(60))
        );
        kept.rotate(GENERATED, 0, now + SignedDuration::from_secs(61)).unwrap();
        assert!(kept.retired.is_empty());
        assert!(kept.rotate("door", 60, now).is_err());
    }

    #[test]
    fn a_name_is_given_once() {
        let mut kept = StoredWebhooks::default();
        let new = |id: &str| NewWebhook { id: id.into(), ..NewWebhook::default() };
        assert!(kept.add(&new("door"), &[]).unwrap().path.starts_with("/alarm/"));
        assert!(kept.add(&new("door"), &[]).is_err());
        assert!(kept.add(&new(GENERATED), &[]).is_err());
        assert!(kept.add(&new("porch"), &["porch".into()]).is_err());
    }

    #[test]
    fn a_vendor_and_a_device_must_be_known_words() {
        let mut kept = StoredWebhooks::default();
        let with = |vendor: &str, device: &str| NewWebhook {
            id: "x".into(),
            vendor: Some(vendor.into()),
            device: Some(device.into()),
            ..NewWebhook::default()
        };
        assert!(kept.add(&with("nobody", "yard"), &[]).err().unwrap().contains("reolink"));
        assert!(kept.add(&with("reolink", "/"), &[]).err().unwrap().contains("names no device"));
        assert_eq!(kept.add(&with("reolink", "yard"), &[]).unwrap().device.as_deref(), Some("yard"));
    }
}
