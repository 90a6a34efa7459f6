//! The integration tests: the real binary, real brokers, real sockets. `support` holds what they share.

#[cfg(test)]
mod bridge_ingest;
#[cfg(test)]
mod bridge_mqtt;
#[cfg(test)]
mod bridge_nats;
#[cfg(test)]
mod bridge_sinks;
#[cfg(test)]
mod config;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod embedded_broker;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod mqtt_link;
#[cfg(test)]
mod mqtt_sink;
#[cfg(test)]
mod mqtt_tls;
#[cfg(test)]
mod nats_sink;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod web;
#[cfg(test)]
mod wire;
