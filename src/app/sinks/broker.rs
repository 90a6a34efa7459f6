//! The embedded broker; it runs only while no sink is configured.

use crate::app::listeners::reachable;
use crate::config::Config;
#[cfg(feature = "embedded-broker")]
use crate::sink::embedded::EmbeddedBroker;
use crate::sink::mqtt::Audience;

/// The embedded broker, if it runs.
#[derive(Default)]
pub(in crate::app) struct OptionalBroker {
    #[cfg(feature = "embedded-broker")]
    embedded: Option<EmbeddedBroker>,
}

#[cfg(feature = "embedded-broker")]
impl OptionalBroker {
    /// Starts it if it is wanted, and sets its address as the MQTT sink's server.
    ///
    /// # Errors
    /// Fails when no port is free.
    pub(in crate::app) async fn start(config: &mut Config, wanted: bool) -> anyhow::Result<Self> {
        if !wanted {
            return Ok(Self::default());
        }
        let embedded = EmbeddedBroker::start(&config.broker).await.map_err(anyhow::Error::msg)?;
        config.mqtt.server = Some(format!("mqtt://{}", reachable(embedded.addr)));
        config.mqtt.user.clone_from(&config.broker.user);
        config.mqtt.password.clone_from(&config.broker.password);
        Ok(Self { embedded: Some(embedded) })
    }

    /// Subscriptions at the broker.
    pub(in crate::app) fn audience(&self) -> Option<Audience> {
        self.embedded.as_ref().map(|embedded| embedded.audience.clone())
    }

    /// URL of the broker.
    pub(in crate::app) fn url(&self) -> Option<String> {
        self.embedded.as_ref().map(|embedded| format!("mqtt://{}", embedded.addr))
    }

    /// Stops the broker.
    pub(in crate::app) async fn stop(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

#[cfg(not(feature = "embedded-broker"))]
impl OptionalBroker {
    /// Fails if a broker is wanted: this build has none.
    ///
    /// # Errors
    /// Fails when the broker is wanted, since there is no sink to publish to.
    pub(in crate::app) async fn start(_: &mut Config, wanted: bool) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !wanted,
            "no sink is configured and this build has no embedded broker: set mqtt.server, nats.servers, \
             notify.url or stdout.enabled"
        );
        Ok(Self::default())
    }

    /// Always `None`.
    pub(in crate::app) fn audience(&self) -> Option<Audience> {
        None
    }

    /// Always `None`.
    pub(in crate::app) fn url(&self) -> Option<String> {
        None
    }

    /// Does nothing.
    pub(in crate::app) async fn stop(self) {}
}
