//! The configuration: one file per section, with types, defaults and checks.
//!
//! [`load()`] puts it together: defaults, then the TOML file, then `ALARMBUS_<SECTION>__<KEY>` variables, then flags.
//! Every mistake is found at once and says where it stands; every value knows where it comes from.

use serde::{Deserialize, Serialize};

pub mod activity;
pub mod address;
pub mod changes;
mod check;
mod complete;
pub mod devices;
mod extract;
mod file;
pub mod homeassistant;
pub mod ingest;
pub mod keypath;
mod layer;
pub mod limits;
pub mod load;
mod log;
pub mod mistake;
mod nearest;
mod overrides;
pub mod scalar;
mod secrets;
pub mod sinks;
pub mod storage;
pub mod topic_check;
pub mod topics;

pub use activity::Activity;
pub use changes::{Changes, changes};
pub use complete::leaves;
pub use devices::{DeviceSettings, Devices};
pub use homeassistant::HomeAssistant;
pub use ingest::{Admin, Http, Https, Time, Webhook};
pub use keypath::KeyPath;
pub use limits::Limits;
pub use load::{Flag, Loaded, Origins, Sources, load};
pub use log::{Log, LogFormat};
pub use mistake::{Mistake, Mistakes, Origin};
pub use scalar::{ByteSize, Secret};
pub use sinks::{Broker, Mqtt, Nats, Stdout};
pub use storage::{Snapshots, Storage};
pub use topics::Topics;

/// Everything a user can set (DESIGN 11).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The listener cameras push to.
    pub http: Http,
    /// The same over TLS; only if the section is present.
    pub https: Option<Https>,
    /// Page, API, metrics and health.
    pub admin: Admin,
    /// The paths cameras push to; with none, one is generated and kept.
    pub webhooks: Vec<Webhook>,
    /// Time zones and lateness.
    pub time: Time,
    /// Bounds.
    pub limits: Limits,
    /// The folder, and how much is kept.
    pub storage: Storage,
    /// Pictures.
    pub snapshots: Snapshots,
    /// Hold times.
    pub activity: Activity,
    /// The MQTT sink; on when `server` is given.
    pub mqtt: Mqtt,
    /// The NATS sink; on when `servers` is not empty.
    pub nats: Nats,
    /// The JSON lines sink.
    pub stdout: Stdout,
    /// The embedded broker; runs only while no sink is on.
    pub broker: Broker,
    /// MQTT topic templates.
    pub topics: Topics,
    /// Discovery.
    pub homeassistant: HomeAssistant,
    /// Settings of single devices, by MAC, source or device id.
    pub devices: Devices,
    /// How long a stop may take.
    pub shutdown: Shutdown,
    /// Level and format of the log.
    pub log: Log,
    /// The name of this instance where several share a broker; part of bridge topics when set (DESIGN 13).
    pub instance: Option<String>,
}

/// How long a stop may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Seconds from the signal to the exit, at most.
    pub seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { seconds: 4 }
    }
}
