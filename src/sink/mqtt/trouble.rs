//! Errors of connecting and of connections, as sentences with a remedy; the same for both protocol versions.

use std::io;

use super::settings::MqttSettings;
use crate::config::sinks::MqttVersion;
use crate::findings::FindingCode;
use crate::sink::SinkDown;
use crate::tls;

/// Error of a connection.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The broker refused the CONNECT.
    Refused(ConnectRefusal),
    /// Another client connected with the same client id.
    TakenOver,
    /// The broker does not permit a message and closed the connection because of it; with its text.
    NotPermitted(String),
    /// The broker sent DISCONNECT; with its text.
    Disconnected(String),
    /// A message exceeded the broker's limit: the first unacknowledged one, since PUBACKs arrive in order (MQTT 5,
    /// section 4.6).
    TooLarge,
    /// Nothing arrived within the keep-alive.
    Silent,
    /// The peer closed the stream without DISCONNECT.
    Closed,
    /// The stream failed.
    Io(io::Error),
    /// Any other error, with the client's text.
    Other(String),
}

/// Reason for which a broker refuses a CONNECT.
#[derive(Debug)]
pub(super) enum ConnectRefusal {
    /// User name or password.
    Password,
    /// User not permitted; many brokers also send this for a wrong password.
    NotAuthorized,
    /// The client id.
    ClientId,
    /// The protocol version.
    Version,
    /// Banned.
    Banned,
    /// The broker lacks a required feature: retained messages, QoS 1.
    Unable(&'static str),
    /// Temporarily unavailable: busy, shutting down, quota.
    Unavailable(String),
    /// Any other reason, by name.
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
    /// Finding for the error. `up`: the broker had accepted the connection before.
    pub(super) fn explain(self, settings: &MqttSettings, up: bool) -> SinkDown {
        let (server, other) = (&settings.server, versions(settings).1);
        let (code, reason) = match self {
            Self::Refused(refused) => (FindingCode::BrokerRefused, refused.explain(settings)),
            Self::TakenOver => (
                FindingCode::BrokerTakenOver,
                format!(
                    "another client connected to {server} with the client id {:?}: give each bridge its own mqtt.client_id",
                    settings.client_id
                ),
            ),
            Self::NotPermitted(words) => (
                FindingCode::MessageRefused,
                format!(
                    "{server} ended the connection because of a message, 0x87 not authorized: permit this user to publish the topic at the broker{words}"
                ),
            ),
            Self::Disconnected(words) => {
                (FindingCode::BrokerUnreachable, format!("{server} ended the connection: {words}"))
            }
            Self::TooLarge => (
                FindingCode::MessageTooLarge,
                format!(
                    "{server} refuses a message for its size (PUBACK 0x95): raise its limit (mosquitto: message_size_limit)"
                ),
            ),
            Self::Silent => (
                FindingCode::BrokerUnreachable,
                format!("{server} gives no sign of life: the broker hangs, or the network is cut"),
            ),
            Self::Closed => (FindingCode::BrokerUnreachable, closed(settings, up)),
            Self::Io(error) => match tls::explain(&error, &tls::MQTT, settings.tls.shows_certificate()) {
                Some(words) => (FindingCode::BrokerTls, words),
                None => return Self::Other(error.to_string()).explain(settings, up),
            },
            Self::Other(words) if up => {
                (FindingCode::BrokerUnreachable, format!("the connection to {server} failed: {words}"))
            }
            Self::Other(words) => (
                FindingCode::BrokerRefused,
                format!(
                    "{server} does not answer as an MQTT broker does ({words}): check port and path, and try mqtt.version = {other:?}"
                ),
            ),
        };
        SinkDown { code, reason }
    }
}

/// Sentence for a stream that the peer closed.
fn closed(settings: &MqttSettings, up: bool) -> String {
    let (server, other) = (&settings.server, versions(settings).1);
    if up {
        return format!(
            "{server} closed the connection: it was stopped, the network was cut, a message was over its limit, or \
             another client uses the client id {:?}",
            settings.client_id
        );
    }
    format!(
        "{server} closed the connection instead of answering: this may not be an MQTT port, its TLS port (use \
         mqtts://), or it wants mqtt.version = {other:?}"
    )
}

impl ConnectRefusal {
    /// Sentence for the refusal.
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

/// Protocol version in use, and the other one.
fn versions(settings: &MqttSettings) -> (&'static str, &'static str) {
    match settings.version {
        MqttVersion::V5 => ("5", "3.1.1"),
        MqttVersion::V311 => ("3.1.1", "5"),
    }
}
