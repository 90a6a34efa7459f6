//! Integration tests with the real binary, real brokers and real sockets. `support` has the shared parts.

#[cfg(test)]
mod activities;
#[cfg(test)]
mod api;
#[cfg(test)]
mod asyncapi;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod backlog;
#[cfg(test)]
mod blame;
#[cfg(test)]
mod bridge_ingest;
#[cfg(test)]
mod bridge_mqtt;
#[cfg(test)]
mod bridge_nats;
#[cfg(test)]
mod bridge_settings;
#[cfg(test)]
mod bridge_sinks;
#[cfg(test)]
mod broker_faults;
#[cfg(test)]
mod bus_requests;
mod clock;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod config;
#[cfg(test)]
mod decode;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod embedded_broker;
#[cfg(test)]
mod expected;
#[cfg(test)]
mod findings;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod health;
#[cfg(test)]
mod homeassistant;
#[cfg(test)]
mod injection;
#[cfg(test)]
mod kill_bridge;
#[cfg(test)]
mod known_devices;
#[cfg(test)]
mod login;
#[cfg(test)]
mod makers;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod mqtt_link;
#[cfg(test)]
mod mqtt_sink;
#[cfg(test)]
mod mqtt_tls;
#[cfg(test)]
mod nats_faults;
#[cfg(test)]
mod nats_sink;
#[cfg(test)]
mod notify;
#[cfg(test)]
mod older_store;
#[cfg(test)]
mod outbox_again;
#[cfg(test)]
mod packaging;
#[cfg(test)]
mod past;
#[cfg(test)]
mod poison;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod refused_then_cut;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod request_lines;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod secret_spellings;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod slow_peers;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_faults;
#[cfg(test)]
mod uncommon;
#[cfg(test)]
mod variants;
#[cfg(test)]
mod web;
#[cfg(test)]
mod wire;
