//! The secret paths kept in the storage folder: the generated one, those of `alarmbus webhook add`, and old ones that
//! are still valid for a while.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::identity::new_path;

/// The name of the generated webhook.
pub const GENERATED: &str = "default";

/// The secret paths kept in the storage folder.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptWebhooks {
    /// The one that is used while the configuration has none.
    pub generated: Option<String>,
    /// Those of `alarmbus webhook add`.
    pub added: Vec<AddedWebhook>,
    /// Old paths that are still valid.
    pub retired: Vec<RetiredWebhook>,
}

/// A webhook of `alarmbus webhook add`.
#[derive(Clone, Serialize, Deserialize)]
pub struct AddedWebhook {
    /// Its name.
    pub id: String,
    /// Its path, secret part included.
    pub path: String,
}

/// The old path of a webhook that got a new one.
#[derive(Clone, Serialize, Deserialize)]
pub struct RetiredWebhook {
    /// The name of the webhook.
    pub id: String,
    /// The old path, secret part included.
    pub path: String,
    /// Valid until then.
    pub until: Timestamp,
}

impl KeptWebhooks {
    /// Adds a webhook; `taken` are the names of the configuration.
    ///
    /// # Errors
    /// When there is one of this name.
    pub fn add(&mut self, id: &str, taken: &[String]) -> Result<AddedWebhook, String> {
        let known = id == GENERATED
            || taken.iter().any(|other| other == id)
            || self.added.iter().any(|other| other.id == id);
        if known {
            return Err(format!(
                "there is a webhook {id:?} already: choose another name, or rotate that one"
            ));
        }
        let added = AddedWebhook { id: id.to_owned(), path: new_path() };
        self.added.push(added.clone());
        Ok(added)
    }

    /// Gives a webhook a new path; the old one stays valid for so many seconds.
    ///
    /// # Errors
    /// When there is none of this name here.
    pub fn rotate(&mut self, id: &str, overlap_seconds: u64, now: Timestamp) -> Result<AddedWebhook, String> {
        let added = self.added.iter_mut().find(|added| added.id == id).map(|added| &mut added.path);
        let generated = if id == GENERATED { self.generated.as_mut() } else { None };
        let Some(path) = added.or(generated) else {
            return Err(format!(
                "there is no webhook {id:?} of ours: one of the configuration is changed there"
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
        Ok(AddedWebhook { id: id.to_owned(), path: new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_path_stays_valid_for_the_time_given_and_no_longer() {
        let mut kept = KeptWebhooks { generated: Some("/alarm/old".into()), ..KeptWebhooks::default() };
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
        let mut kept = KeptWebhooks::default();
        assert!(kept.add("door", &[]).unwrap().path.starts_with("/alarm/"));
        assert!(kept.add("door", &[]).is_err());
        assert!(kept.add(GENERATED, &[]).is_err());
        assert!(kept.add("porch", &["porch".into()]).is_err());
    }
}
