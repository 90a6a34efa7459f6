//! Home Assistant discovery.

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::model::template::Template;

/// Discovery and what fires.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HomeAssistant {
    /// Announce devices over MQTT.
    pub enabled: bool,
    /// Discovery prefix.
    pub discovery_topic: String,
    /// Topic on which Home Assistant announces its start.
    pub birth_topic: String,
    /// Treatment of late alarms: fire the event entity or not.
    pub late_alarms: Pass,
    /// Treatment of repeats: fire the event entity or not.
    pub repeats: Pass,
}

impl Default for HomeAssistant {
    fn default() -> Self {
        Self {
            enabled: true,
            discovery_topic: "homeassistant".into(),
            birth_topic: "homeassistant/status".into(),
            late_alarms: Pass::Skip,
            repeats: Pass::Skip,
        }
    }
}

/// Treatment of an alarm: fire the event entity or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// It does not.
    Skip,
    /// It does.
    Fire,
}

impl HomeAssistant {
    /// Checks the topics.
    pub(crate) fn check(&self, check: &mut Check<'_>) {
        let topics = [
            ("homeassistant.discovery_topic", &self.discovery_topic),
            ("homeassistant.birth_topic", &self.birth_topic),
        ];
        for (key, topic) in topics {
            if let Err(problem) = Template::topic(topic) {
                check.wrong(key, format!("{topic:?} is not a topic: {problem}"));
            }
        }
    }
}
