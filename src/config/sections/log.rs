//! Level and format of the log.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::config::check::Check;

/// Names of levels.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Level and format of the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or per module (`info,alarmbus::http=debug`).
    pub level: String,
    /// Format of the lines.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// Format of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per line.
    Json,
}

impl Log {
    /// Checks the level. A single word that is not a level would be taken for a module and silence all others.
    pub(crate) fn check(&self, check: &mut Check<'_>) {
        let lone = self.level.split(',').map(str::trim).find(|part| !part.contains(['=', ':', '[']));
        let unknown = lone.filter(|word| !LEVELS.contains(&word.to_ascii_lowercase().as_str()));
        let problem = unknown.map(|word| format!("{word:?} is not a level")).or_else(|| {
            let refused = EnvFilter::builder().parse(&self.level).err();
            refused.map(|error| format!("{:?} cannot be read: {error}", self.level))
        });
        if let Some(problem) = problem {
            let remedy = "write error, warn, info, debug or trace, or per module: info,alarmbus::http=debug";
            check.wrong("log.level", format!("{problem}; {remedy}"));
        }
    }
}
