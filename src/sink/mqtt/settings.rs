//! What a session needs to know, made once from the configuration.

use super::tls::TlsSettings;
use crate::config::address::Address;
use crate::config::sinks::MqttVersion;
use crate::config::{self, HomeAssistant, Secret};

/// Everything the MQTT sink needs, checked.
#[derive(Debug, Clone)]
pub struct MqttSettings {
    /// Where the broker is.
    pub server: Server,
    /// MQTT 5 or 3.1.1.
    pub version: MqttVersion,
    /// Stable over restarts, so that a second bridge with the same one is noticed.
    pub client_id: String,
    /// User name, if the broker wants one.
    pub user: Option<String>,
    /// Password, if the broker wants one; `password_file` was read into it by the configuration.
    pub password: Option<Secret>,
    /// What is checked of the broker's certificate, and our own.
    pub tls: TlsSettings,
    /// Seconds between signs of life on an idle link; 0: none, and a dead link is noticed late.
    pub keep_alive_seconds: u16,
    /// MQTT 5 expiry of messages that are not retained, in seconds; 0: never.
    pub expire_seconds: u32,
    /// Where `offline` goes, as the will and at a clean stop; `None`: nowhere.
    pub state_topic: Option<String>,
    /// Where the token is retained that tells whether the broker kept its retained store.
    pub token_topic: String,
    /// Where Home Assistant says that it is up, if discovery is on.
    pub birth_topic: Option<String>,
    /// Home Assistant's discovery prefix, if discovery is on.
    pub discovery_topic: Option<String>,
    /// The payload last acknowledged at `token_topic`; `None` before the first session ever.
    pub last_token: Option<String>,
}

impl MqttSettings {
    /// Makes settings of the `[mqtt]` and `[homeassistant]` sections. `instance_id` is the kept random id of this
    /// bridge, `instance` its configured name where several share a broker.
    ///
    /// # Errors
    /// One sentence for people when `mqtt.server` cannot be used.
    pub fn new(
        mqtt: &config::Mqtt,
        homeassistant: &HomeAssistant,
        instance_id: &str,
        instance: Option<&str>,
        last_token: Option<String>,
    ) -> Result<Self, String> {
        let bridge = match instance {
            Some(name) => format!("{}/bridge-{name}", mqtt.base_topic),
            None => format!("{}/bridge", mqtt.base_topic),
        };
        let client_id = mqtt.client_id.clone().filter(|id| !id.is_empty());
        Ok(Self {
            server: Server::parse(mqtt.server.as_deref().unwrap_or_default())?,
            version: mqtt.version,
            client_id: client_id.unwrap_or_else(|| format!("alarmbus-{instance_id}")),
            user: mqtt.user.clone(),
            password: mqtt.password.clone(),
            tls: TlsSettings {
                ca: mqtt.ca.clone(),
                cert: mqtt.cert.clone(),
                key: mqtt.key.clone(),
                server_name: mqtt.server_name.clone(),
                insecure: mqtt.insecure,
            },
            keep_alive_seconds: mqtt.keep_alive_seconds,
            expire_seconds: mqtt.expire_seconds,
            state_topic: Some(format!("{bridge}/state")),
            token_topic: format!("{bridge}/token"),
            birth_topic: homeassistant.enabled.then(|| homeassistant.birth_topic.clone()),
            discovery_topic: homeassistant.enabled.then(|| homeassistant.discovery_topic.clone()),
            last_token,
        })
    }

    /// The same for a try beside a running bridge: takes no session over, subscribes to nothing, says nothing.
    #[must_use]
    pub fn for_check(self) -> Self {
        Self {
            client_id: format!("{}-check", self.client_id),
            state_topic: None,
            birth_topic: None,
            discovery_topic: None,
            last_token: None,
            ..self
        }
    }
}

/// Where a broker is and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS below MQTT.
    pub tls: bool,
    /// The path of the WebSocket endpoint; `None`: plain MQTT over the stream.
    pub websocket: Option<String>,
}

impl Server {
    /// Reads `mqtt://`, `mqtts://`, `ws://`, `wss://` URLs, and `host[:port]`. A WebSocket URL without any path
    /// means `/mqtt`, the path most brokers use.
    ///
    /// # Errors
    /// One sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let address =
            Address::mqtt(text).map_err(|problem| format!("mqtt.server cannot be used: {problem}"))?;
        let websocket = matches!(address.scheme.as_str(), "ws" | "wss").then_some(address.path);
        Ok(Self { host: address.host, port: address.port, tls: address.tls, websocket })
    }

    /// The host as it stands in a URL.
    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// The URL of the WebSocket handshake. Always `ws`: TLS, if any, lies below and is ours.
    pub(super) fn handshake_url(&self) -> Option<String> {
        self.websocket.as_ref().map(|path| format!("ws://{}:{}{path}", self.bracketed(), self.port))
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match (self.tls, self.websocket.is_some()) {
            (false, false) => "mqtt",
            (true, false) => "mqtts",
            (false, true) => "ws",
            (true, true) => "wss",
        };
        let path = self.websocket.as_deref().unwrap_or_default();
        write!(f, "{scheme}://{}:{}{path}", self.bracketed(), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::{MqttSettings, Server};
    use crate::config::{HomeAssistant, Mqtt};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = Server::parse(text).map_or_else(|error| error, |server| server.to_string());
        assert!(shown.starts_with(expected), "{text}: {shown}");
    }

    #[test]
    fn servers_are_read_in_every_spelling() {
        check("broker", "mqtt://broker:1883");
        check("broker:1884", "mqtt://broker:1884");
        check("192.168.0.5:1883", "mqtt://192.168.0.5:1883");
        check("[::1]:1883", "mqtt://[::1]:1883");
        check("mqtts://broker", "mqtts://broker:8883");
        check("ws://broker:9001", "ws://broker:9001/mqtt");
        check("ws://broker:9001/", "ws://broker:9001/");
        check("wss://broker/a/b", "wss://broker:443/a/b");
    }

    #[test]
    fn bad_servers_are_explained_and_never_repeat_a_password() {
        check("", "mqtt.server cannot be used");
        check("http://broker", "mqtt.server cannot be used: \"http://broker\" is no address");
        let shown = Server::parse("mqtt://anna:hunter2@broker").unwrap_err();
        assert!(shown.contains("set `user` and `password`") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_instance_has_its_own_bridge_topics() {
        let mqtt = Mqtt { server: Some("broker".into()), ..Mqtt::default() };
        let homeassistant = HomeAssistant { enabled: false, ..HomeAssistant::default() };
        let settings = MqttSettings::new(&mqtt, &homeassistant, "7f", Some("north"), None).unwrap();
        assert_eq!(settings.state_topic.as_deref(), Some("alarmbus/bridge-north/state"));
        assert_eq!(settings.token_topic, "alarmbus/bridge-north/token");
        assert_eq!((settings.client_id.as_str(), settings.birth_topic), ("alarmbus-7f", None));
    }
}
