//! Why a link could not be made or broke, in words with a remedy; the same for both protocol versions.

use std::io;

use super::settings::MqttSettings;
use super::tls;
use crate::config::sinks::MqttVersion;
use crate::sink::SinkDown;

/// What went wrong on a link.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The broker refuses the CONNECT.
    Refused(Refused),
    /// Another client connected with our client id.
    TakenOver,
    /// The broker says goodbye, in its own words.
    Goodbye(String),
    /// A message was over the broker's limit: the first one that is not acknowledged, since PUBACKs come in order
    /// (MQTT 5, 4.6).
    TooLarge,
    /// No sign of life within the keep-alive.
    Silent,
    /// The peer closed the stream without a word.
    Closed,
    /// The stream failed.
    Io(io::Error),
    /// Anything else, in the client's words.
    Other(String),
}

/// Why a broker refuses a CONNECT.
#[derive(Debug)]
pub(super) enum Refused {
    /// User name or password.
    Password,
    /// User not permitted; many brokers say so for a wrong password too.
    NotAuthorized,
    /// The client id.
    ClientId,
    /// The protocol version.
    Version,
    /// Banned.
    Banned,
    /// Something it cannot do that is needed: retained messages, QoS 1.
    Unable(&'static str),
    /// Not now: busy, shutting down, quota.
    Unavailable(String),
    /// Anything else, by its name.
    Other(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Io(error),
        }
    }
}

impl Trouble {
    /// The finding and its sentence. `up`: the broker had accepted us before.
    pub(super) fn explain(self, settings: &MqttSettings, up: bool) -> SinkDown {
        let server = &settings.server;
        let other = versions(settings).1;
        let (code, reason) = match self {
            Self::Refused(refused) => ("broker_refused", refused.explain(settings)),
            Self::TakenOver => (
                "broker_taken_over",
                format!(
                    "another client connected to {server} with the client id {:?}: give each bridge its own \
                     mqtt.client_id",
                    settings.client_id
                ),
            ),
            Self::Goodbye(words) => ("broker_unreachable", format!("{server} ended the connection: {words}")),
            Self::TooLarge => (
                "message_too_large",
                format!(
                    "{server} refuses a message for its size (PUBACK 0x95): raise its limit (mosquitto: message_size_limit)"
                ),
            ),
            Self::Silent => (
                "broker_unreachable",
                format!("{server} gives no sign of life: the broker hangs, or the network is cut"),
            ),
            Self::Closed if up => (
                "broker_unreachable",
                format!(
                    "{server} closed the connection: it was stopped, the network was cut, a message was over its \
                     limit, or another client uses the client id {:?}",
                    settings.client_id
                ),
            ),
            Self::Closed => (
                "broker_unreachable",
                format!(
                    "{server} closed the connection instead of answering: this may be no MQTT port, its TLS port \
                     (use mqtts://), or it wants mqtt.version = {other:?}"
                ),
            ),
            Self::Io(error) => match tls::explain(&error) {
                Some(words) => ("broker_tls", words),
                None => return Self::Other(error.to_string()).explain(settings, up),
            },
            Self::Other(words) if up => {
                ("broker_unreachable", format!("the connection to {server} failed: {words}"))
            }
            Self::Other(words) => (
                "broker_refused",
                format!(
                    "{server} does not answer as an MQTT broker does ({words}): check port and path, and try mqtt.version = {other:?}"
                ),
            ),
        };
        SinkDown { code, reason }
    }
}

impl Refused {
    /// The sentence.
    fn explain(self, settings: &MqttSettings) -> String {
        let server = &settings.server;
        let who = settings.user.as_ref().map_or("no user name".to_owned(), |user| format!("user {user:?}"));
        match self {
            Self::Password => {
                format!("{server} refuses {who} or its password: correct mqtt.user and mqtt.password")
            }
            Self::NotAuthorized => format!(
                "{server} does not authorize {who}: correct mqtt.user and mqtt.password, or permit this user and \
                 client id {:?} at the broker",
                settings.client_id
            ),
            Self::ClientId => {
                format!("{server} refuses the client id {:?}: set another mqtt.client_id", settings.client_id)
            }
            Self::Version => {
                let (ours, other) = versions(settings);
                format!("{server} does not speak MQTT {ours}: set mqtt.version = {other:?}")
            }
            Self::Banned => format!("{server} has banned this client: lift the ban at the broker"),
            Self::Unable(what) => {
                format!("{server} does not offer {what}, which is needed: switch it on there")
            }
            Self::Unavailable(words) => format!("{server} takes no connections now ({words})"),
            Self::Other(words) => format!("{server} refuses the connection: {words}"),
        }
    }
}

/// The protocol version in use, and the other one.
fn versions(settings: &MqttSettings) -> (&'static str, &'static str) {
    match settings.version {
        MqttVersion::V5 => ("5", "3.1.1"),
        MqttVersion::V311 => ("3.1.1", "5"),
    }
}
