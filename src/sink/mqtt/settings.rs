//! Settings of a session, made once from the configuration.

use super::request_topics::RequestTopics;
use super::tls::TlsSettings;
use crate::config::address::Address;
use crate::config::sinks::MqttVersion;
use crate::config::{self, HomeAssistant, Secret};
use crate::sink::request::RequestSender;

/// Time in seconds that a take-over may need once a lease is over.
const TAKE_OVER: u64 = 5;

/// Validated settings of the MQTT sink.
#[derive(Debug, Clone)]
pub struct MqttSettings {
    /// Address of the broker.
    pub server: Server,
    /// MQTT 5 or 3.1.1.
    pub version: MqttVersion,
    /// Client id; stable over restarts, so that a second bridge with the same id is noticed.
    pub client_id: String,
    /// User name, if the broker requires one.
    pub user: Option<String>,
    /// Password, if the broker requires one; the configuration read `password_file` into it.
    pub password: Option<Secret>,
    /// TLS settings.
    pub tls: TlsSettings,
    /// Keep-alive in seconds; 0: none, and a dead connection is detected late.
    pub keep_alive_seconds: u16,
    /// MQTT 5 expiry in seconds of messages that are not retained; 0: never.
    pub expire_seconds: u32,
    /// `source` of CloudEvents; `None`: messages have no attributes of CloudEvents.
    pub cloudevents: Option<String>,
    /// Topic of `offline`, as the will and at a clean stop; `None`: not published.
    pub state_topic: Option<String>,
    /// Topic of the retained token that shows whether the broker still has the retained messages.
    pub token_topic: String,
    /// Topic at which Home Assistant reports its start, if discovery is on.
    pub birth_topic: Option<String>,
    /// Discovery prefix of Home Assistant, if discovery is on.
    pub discovery_topic: Option<String>,
    /// Stored random id of this bridge; distinguishes its marks from those of other bridges.
    pub instance_id: String,
    /// Accepts requests of other clients.
    pub request_topics: Option<RequestTopics>,
    /// Seconds after which the broker publishes the will of a lost session; `None`: at once, with a clean start.
    pub will_delay_seconds: Option<u32>,
    /// Last acknowledged payload at `token_topic`; `None` before the first session.
    pub last_token: Option<String>,
}

impl MqttSettings {
    /// Creates settings from the `[mqtt]` and `[homeassistant]` sections. `instance_id` is the stored random id of this
    /// bridge, `instance` its configured name where several share a broker.
    ///
    /// # Errors
    /// Returns one sentence when `mqtt.server` cannot be used.
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
            cloudevents: mqtt.cloudevents.then(|| bridge.clone()),
            state_topic: Some(format!("{bridge}/state")),
            token_topic: format!("{bridge}/token"),
            birth_topic: homeassistant.enabled.then(|| homeassistant.birth_topic.clone()),
            discovery_topic: homeassistant.enabled.then(|| homeassistant.discovery_topic.clone()),
            instance_id: instance_id.to_owned(),
            last_token,
            will_delay_seconds: None,
            request_topics: None,
        })
    }

    /// Sets the receiver of requests of other clients.
    #[must_use]
    pub fn with_requests(self, base: &str, taken: &config::Requests, requests: RequestSender) -> Self {
        let bridge = self.token_topic.trim_end_matches("/token");
        let request_topics =
            RequestTopics::new(base, bridge, self.discovery_topic.as_deref(), taken, requests);
        Self { request_topics: Some(request_topics), ..self }
    }

    /// Settings for a partition of a cluster: its owners have one client identifier, so that the broker cuts the link of
    /// a displaced one, and the will waits until the next owner had the time to take over.
    #[must_use]
    pub fn in_cluster(self, lease_seconds: u64, k: u64) -> Self {
        let own = format!("alarmbus-{}", self.instance_id);
        let given = self.client_id != own && 0 < k;
        Self {
            client_id: if given { format!("{}-p{k}", self.client_id) } else { self.client_id },
            will_delay_seconds: u32::try_from(lease_seconds + TAKE_OVER).ok(),
            ..self
        }
    }

    /// Settings for a connection test beside a running bridge: it takes over no session, subscribes to nothing and
    /// publishes nothing.
    #[must_use]
    pub fn for_check(self) -> Self {
        Self {
            client_id: format!("{}-check", self.client_id),
            state_topic: None,
            will_delay_seconds: None,
            birth_topic: None,
            discovery_topic: None,
            last_token: None,
            ..self
        }
    }
}

/// Address of a broker and its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Use TLS below MQTT.
    pub tls: bool,
    /// Path of the WebSocket endpoint; `None`: MQTT directly on the stream.
    pub websocket: Option<String>,
}

impl Server {
    /// Parses `mqtt://`, `mqtts://`, `ws://`, `wss://` URLs, and `host[:port]`. A WebSocket URL without a path means
    /// `/mqtt`, the path of most brokers.
    ///
    /// # Errors
    /// Returns one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let address =
            Address::mqtt(text).map_err(|problem| format!("mqtt.server cannot be used: {problem}"))?;
        let websocket = matches!(address.scheme.as_str(), "ws" | "wss").then_some(address.path);
        Ok(Self { host: address.host, port: address.port, tls: address.tls, websocket })
    }

    /// Host as written in a URL.
    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// URL of the WebSocket handshake. Always `ws`: TLS, if any, is below it.
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
        check("http://broker", "mqtt.server cannot be used: \"http://broker\" is not an address");
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
