//! Log on standard error, as text or JSON, with a level that can change at run time.
//!
//! Standard output is reserved for the stdout sink. A message is complete without its fields; the fields are for
//! search. Their names:
//!
//! | field | value |
//! |---|---|
//! | `request.id` | a request; its alarms have the same identifier but for the last five digits |
//! | `outcome`, `status`, `bytes`, `ms` | result of a request: a label of `alarmbus_requests_total`, the response
//! status, bytes of the body, time to the response |
//! | `path` | path of a request that matches no webhook, with possible secrets masked |
//! | `alarms`, `events`, `pictures`, `durable` | what was committed of a request |
//! | `requests.left_out` | number of lines about unknown peers that were suppressed in the last minute |
//! | `peer` | address of the sender of a request |
//! | `webhook` | id of a webhook, never its path |
//! | `device.source`, `device.mac` | the device |
//! | `alarm.id`, `alarm.ids`, `alarm.event` | the alarm, or alarms |
//! | `log.no` | the number of an entry in the outbox |
//! | `sink.name` | `mqtt`, `nats`, `notify`, `stdout` |
//! | `topic` | an MQTT topic or NATS subject |
//! | `finding.code`, `finding.subject`, `finding.count` | a finding |
//! | `listener` | `http`, `https`, `admin`, `broker` |
//! | `error` | the cause |
//!
//! An error is logged once, where it is handled. Bodies, pictures and secrets never are.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

mod lines;
mod ring;

use crate::config::{Log, LogFormat};
use lines::Lines;
pub use ring::{Line, Ring};

/// Errors of setting up or changing the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level cannot be read.
    #[error("the log level {0:?} cannot be read")]
    Level(String),
    /// The process has a log already.
    #[error("the log cannot be set up: {0}")]
    Taken(String),
}

/// Changes the level of a running log, and has its latest lines; cheap to clone.
#[derive(Debug, Clone)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>, Ring);

impl LogHandle {
    /// The latest lines.
    #[must_use]
    pub fn ring(&self) -> Ring {
        self.1.clone()
    }

    /// Sets the level. The format changes only at a restart.
    ///
    /// # Errors
    /// Fails when the level cannot be read; then the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|error| LogError::Taken(error.to_string()))
    }
}

/// Starts the log of this process.
///
/// # Errors
/// Fails when the level cannot be read, or the process has a log already.
pub fn start(log: &Log) -> Result<LogHandle, LogError> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    // Colours are for terminals only, not for files and journals.
    let ansi = log.format == LogFormat::Text && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = fmt::layer().with_writer(move || Lines::new(std::io::stderr(), ansi));
    let ring = Ring::default();
    let registry = tracing_subscriber::registry().with(filter).with(ring.clone());
    let started = match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(ansi)).try_init(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            registry.with(lines).try_init()
        }
    };
    started.map_err(|error| LogError::Taken(error.to_string()))?;
    Ok(LogHandle(handle, ring))
}

/// Default levels of libraries, lower than ours because their information is of no use to operators.
const LIBRARIES: &str = "mqtt5=error,rumqttc=error,async_nats=error,hyper=warn,rustls=error,";

/// Builds the filter of a level.
fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let text = format!("{LIBRARIES}{level}");
    EnvFilter::builder().parse(text).map_err(|_| LogError::Level(level.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{LogError, start};
    use crate::config::Log;

    #[test]
    fn the_level_changes_while_running_and_a_wrong_one_changes_nothing() {
        let log = Log { level: "off".into(), ..Log::default() };
        let handle = start(&log).unwrap();
        let shows = |level: &str| handle.set_level(level).map(|()| tracing::enabled!(tracing::Level::DEBUG));
        assert!(!shows("off").unwrap());
        assert!(shows("off,alarmbus::log=debug").unwrap());
        assert!(matches!(shows("a=b=c"), Err(LogError::Level(_))));
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        assert!(!shows("info").unwrap());
        assert!(matches!(start(&log), Err(LogError::Taken(_))));
    }
}
