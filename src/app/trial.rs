//! Connects every sink that is on as the bridge would, says what came of it, and publishes nothing.

use super::identity::Identity;
use crate::config::Config;
use crate::sink::Sink;
use crate::sink::mqtt::{Mqtt, MqttSettings};
use crate::sink::nats::Nats;

/// What came of one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Its section.
    pub name: &'static str,
    /// Protocol, address and limits of the session; or cause and remedy.
    pub outcome: Result<String, String>,
}

/// Tries all sinks that are on, at once; each takes as long as its own limit on connecting, at most.
///
/// A running bridge is not disturbed. Streams of NATS that are absent are made, as the bridge would.
pub async fn try_sinks(config: &Config) -> Vec<Tried> {
    let mqtt = async {
        match config.mqtt.server {
            Some(_) => Some(Tried { name: "mqtt", outcome: try_mqtt(config).await }),
            None => None,
        }
    };
    let nats = async {
        if config.nats.servers.is_empty() {
            return None;
        }
        let mut sink = Nats::new(config.nats.clone(), config.instance.as_deref(), None);
        Some(Tried { name: "nats", outcome: connect(&mut sink).await })
    };
    let (mqtt, nats) = tokio::join!(Box::pin(mqtt), Box::pin(nats));
    let lines = || Ok("JSON lines on standard output".to_owned());
    let stdout = config.stdout.enabled.then(|| Tried { name: "stdout", outcome: lines() });
    [mqtt, nats, stdout].into_iter().flatten().collect()
}

async fn try_mqtt(config: &Config) -> Result<String, String> {
    let instance = Identity::peek(&config.storage.path).unwrap_or_else(|| std::process::id().to_string());
    let (mqtt, homeassistant) = (&config.mqtt, &config.homeassistant);
    let settings = MqttSettings::new(mqtt, homeassistant, &instance, config.instance.as_deref(), None)?;
    connect(&mut Mqtt::new(settings.for_check())).await
}

async fn connect(sink: &mut impl Sink) -> Result<String, String> {
    let session = sink.connect().await.map_err(|down| down.reason)?;
    sink.close().await;
    Ok(session.description)
}
