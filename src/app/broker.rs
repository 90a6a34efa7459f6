//! The embedded broker as the bridge runs it: only while no sink is configured.

use super::listeners::reachable;
use crate::config::Config;
#[cfg(feature = "embedded-broker")]
use crate::sink::embedded::Embedded;
use crate::sink::mqtt::Audience;

/// The embedded broker, if it runs.
#[derive(Default)]
pub(super) struct Broker {
    #[cfg(feature = "embedded-broker")]
    embedded: Option<Embedded>,
}

#[cfg(feature = "embedded-broker")]
impl Broker {
    /// Starts it if it is wanted, and points the MQTT sink to it.
    ///
    /// # Errors
    /// When no port can be had.
    pub(super) async fn start(config: &mut Config, wanted: bool) -> anyhow::Result<Self> {
        if !wanted {
            return Ok(Self::default());
        }
        let embedded = Embedded::start(&config.broker).await.map_err(anyhow::Error::msg)?;
        config.mqtt.server = Some(format!("mqtt://{}", reachable(embedded.addr)));
        config.mqtt.user.clone_from(&config.broker.user);
        config.mqtt.password.clone_from(&config.broker.password);
        Ok(Self { embedded: Some(embedded) })
    }

    /// Who subscribes to what on it.
    pub(super) fn audience(&self) -> Option<Audience> {
        self.embedded.as_ref().map(|embedded| embedded.audience.clone())
    }

    /// Its address.
    pub(super) fn url(&self) -> Option<String> {
        self.embedded.as_ref().map(|embedded| format!("mqtt://{}", embedded.addr))
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

#[cfg(not(feature = "embedded-broker"))]
impl Broker {
    /// Without a sink there would be nowhere to publish to.
    ///
    /// # Errors
    /// When it is wanted.
    pub(super) async fn start(_: &mut Config, wanted: bool) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !wanted,
            "no sink is configured and this build has no embedded broker: set mqtt.server, nats.servers or \
             stdout.enabled"
        );
        Ok(Self::default())
    }

    /// Nobody.
    pub(super) fn audience(&self) -> Option<Audience> {
        None
    }

    /// None.
    pub(super) fn url(&self) -> Option<String> {
        None
    }

    /// Nothing to end.
    pub(super) async fn stop(self) {}
}
