//! Arguments that the relays of one partition of a cluster start with.

use super::SinkParts;
use crate::cluster;
use crate::config::Config;
use crate::outbox::cluster::Scope;
use crate::sink::mqtt::MqttSettings;

/// Number of partitions: 1 for an instance that is alone.
pub(super) fn partitions(config: &Config) -> u64 {
    if config.cluster.is_on() { config.cluster.partitions } else { 1 }
}

/// A partition of a cluster, or all that an instance alone publishes.
pub(super) struct Part<'a> {
    pub(super) parts: &'a SinkParts<'a>,
    pub(super) k: u64,
    /// Identifier among others at the brokers.
    pub(super) instance: String,
    /// Name in the bridge's own topics.
    pub(super) name: Option<String>,
}

impl<'a> Part<'a> {
    /// Arguments of partition `k`.
    pub(super) fn new(parts: &'a SinkParts<'a>, k: u64) -> Self {
        let (instance, name) = (parts.identity.instance.clone(), parts.config.instance.clone());
        if k == 0 {
            return Self { parts, k, instance, name };
        }
        Self { parts, k, instance: format!("{instance}-p{k}"), name: Some(format!("p{k}")) }
    }

    /// Key of a sink in the outbox.
    pub(super) fn key(&self, sink: &'static str) -> &'static str {
        // One for each partition, once in the life of the process.
        if self.k == 0 { sink } else { cluster::of_partition(sink, self.k).leak() }
    }

    /// Token that the sink published last, to be found retained at the broker.
    pub(super) fn token(&self, sink: &'static str) -> Option<String> {
        self.parts.outbox.position(self.key(sink)).token
    }

    /// Returns whether this partition answers requests of the broker's clients; one does.
    pub(super) fn takes_requests(&self) -> bool {
        self.k == 0
    }

    /// Sources of this partition; `None` where there is only one.
    pub(super) fn scope(&self) -> Option<Scope> {
        let partitions = partitions(self.parts.config);
        (1 < partitions).then_some(Scope { k: self.k, partitions })
    }

    /// Settings of the MQTT sink.
    ///
    /// # Errors
    /// When the settings contradict each other.
    pub(super) fn mqtt(&self) -> anyhow::Result<MqttSettings> {
        let config = self.parts.config;
        let name = self.name.as_deref();
        let settings =
            MqttSettings::new(&config.mqtt, &config.homeassistant, &self.instance, name, self.token("mqtt"));
        let mut settings = settings.map_err(anyhow::Error::msg)?;
        if self.parts.cluster.is_some() {
            settings = settings.in_cluster(config.cluster.lease_seconds, self.k);
        }
        if !self.takes_requests() {
            return Ok(settings);
        }
        let requests = self.parts.requests.clone();
        Ok(settings.with_requests(&config.mqtt.base_topic, &config.requests, requests))
    }
}
