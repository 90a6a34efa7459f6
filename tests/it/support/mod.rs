//! Shared parts of the integration tests: the bridge, brokers, cameras, subscribers, and a proxy that breaks the network.
//!
//! Everything binds a free port, waits for readiness and not for time, and is gone when it is dropped, so that tests
//! run in parallel and leave nothing behind.

pub(crate) mod alarms;
pub(crate) mod api;
pub(crate) mod bridge;
pub(crate) mod browser;
pub(crate) mod camera;
pub(crate) mod cutting_broker;
pub(crate) mod eventually;
pub(crate) mod faults;
pub(crate) mod firefox;
pub(crate) mod history;
pub(crate) mod load;
pub(crate) mod mosquitto;
pub(crate) mod mount;
pub(crate) mod mqtt_client;
pub(crate) mod nats;
pub(crate) mod nats_client;
pub(crate) mod overhear;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod proxy;
pub(crate) mod published;
pub(crate) mod receiver;
pub(crate) mod seed;
pub(crate) mod tls;
pub(crate) mod web;

pub(crate) use bridge::Bridge;
pub(crate) use browser::Browser;
pub(crate) use camera::Camera;
pub(crate) use eventually::eventually;
pub(crate) use mosquitto::Mosquitto;
pub(crate) use mqtt_client::Subscriber;
pub(crate) use nats::Nats;
pub(crate) use nats_client::NatsReader;
pub(crate) use proxy::{Mode, Proxy};

use std::time::Duration;

/// Maximum wait for a condition, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
