//! The configuration: one file per section, with types, defaults and checks.
//!
//! [`load()`] assembles it: defaults, then the TOML file, then `ALARMBUS_<SECTION>__<KEY>` variables, then flags. All
//! mistakes are found at once, each with its place; every value has its origin.

use serde::{Deserialize, Serialize};

pub mod changes;
mod check;
pub mod keypath;
pub mod load;
pub mod mapping;
pub mod mistake;
mod nearest;
pub mod reload;
mod sections;
mod sources;

pub use check::topic_check;
pub use sections::{
    activity, address, devices, homeassistant, ingest, limits, notify, scalar, sinks, storage, topics,
};

pub use activity::Activity;
pub use changes::{Changes, changes};
pub use devices::{DeviceSettings, Devices};
pub use homeassistant::HomeAssistant;
pub use ingest::{Admin, FixedDevice, Http, Https, Time, Webhook};
pub use keypath::KeyPath;
pub use limits::Limits;
pub use load::{Loaded, load};
pub use mapping::{NO_ALARM, PointerList};
pub use mistake::{Mistake, Mistakes, Origin, Origins};
pub use notify::{Notify, NotifyFormat, NotifyMethod, NotifyPicture};
pub use reload::{Running, reload};
pub use scalar::{ByteSize, Secret};
pub use sections::log::{Log, LogFormat};
pub use sections::requests::Requests;
pub use sinks::{Acknowledge, Broker, Cluster, Mqtt, Nats, Stdout};
pub use sources::complete::{leaves, spelled};
pub use sources::input::{Flag, Sources};
pub use storage::{Snapshots, Storage};
pub use topics::Topics;

/// Everything a user can set.
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
    /// Storage folder, and bounds on what is stored.
    pub storage: Storage,
    /// Pictures.
    pub snapshots: Snapshots,
    /// Hold times.
    pub activity: Activity,
    /// The MQTT sink; on when `server` is given.
    pub mqtt: Mqtt,
    /// The NATS sink; on when `servers` is not empty.
    pub nats: Nats,
    /// Several instances with one result; on when `servers` is not empty.
    pub cluster: Cluster,
    /// Notifications over HTTP; on when `url` is given.
    pub notify: Notify,
    /// The JSON lines sink.
    pub stdout: Stdout,
    /// The embedded broker; runs only while no sink is on.
    pub broker: Broker,
    /// MQTT topic templates.
    pub topics: Topics,
    /// Discovery.
    pub homeassistant: HomeAssistant,
    /// Requests of clients over the broker.
    pub requests: Requests,
    /// Settings of single devices, by MAC, source or device id.
    pub devices: Devices,
    /// Time for a stop.
    pub shutdown: Shutdown,
    /// Level and format of the log.
    pub log: Log,
    /// Name of this instance where several share a broker; part of bridge topics when set.
    pub instance: Option<String>,
}

/// Time for a stop.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// Maximum seconds from the signal to the exit.
    pub seconds: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { seconds: 4 }
    }
}
