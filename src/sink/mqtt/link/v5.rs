//! MQTT 5 through rumqttc-v5.

use std::io;

use bytes::Bytes;
use parking_lot::Mutex;
use rumqttc_v5::mqttbytes::Error as PacketError;
use rumqttc_v5::{
    AsyncClient, Broker, BrokerSessionResumePolicy, ClientError, ConnAck, ConnectReturnCode, ConnectionError,
    DisconnectReasonCode, Event, EventLoop, Incoming, LastWill, LastWillProperties, MqttOptions, PubAck,
    PubAckReason, Publish, PublishNoticeError, PublishOptions, PublishProperties, PublishResult, QoS,
    RetainForwardRule, StateError, SubscribeFilterInput, SubscribeReasonCode,
};

use super::dial::Stream;
use super::events::{BATCH, Events, INBOUND_BYTES, PROTOCOL_BYTES, PendingPublish, QUEUE, Turn, refused};
use crate::render::Message;
use crate::sink::mqtt::packet::{BrokerLimits, Inbound, ReplyAddress, Subscription};
use crate::sink::mqtt::settings::MqttSettings;
use crate::sink::mqtt::trouble::{ConnectRefusal, Trouble};
use crate::sink::{Outcome, RefusalCode, cloudevents};

/// Maximum number of unacknowledged messages; more is not faster (measured) and only adds messages sent again.
const WINDOW: u16 = 100;

/// Time for which the broker keeps the session of an owner that is gone.
const SESSION_SECONDS: u32 = 60;

/// Reason code that mosquitto also sends in a PUBACK (`message_size_limit`), where the client cannot read it and closes
/// the connection.
const PACKET_TOO_LARGE: u8 = 0x95;

/// Queues requests for the event loop.
#[derive(Debug, Clone)]
pub(in crate::sink::mqtt) struct Client {
    client: AsyncClient,
    /// Expiry in seconds of messages that are not retained.
    expire_seconds: Option<u32>,
    /// `source` of CloudEvents; `None`: messages have no attributes of CloudEvents.
    cloudevents: Option<String>,
}

/// Options of a connection on a stream.
fn options(settings: &MqttSettings, stream: Stream) -> Result<MqttOptions, Trouble> {
    let broker = match settings.server.handshake_url() {
        Some(url) => Broker::websocket(url).map_err(|error| Trouble::Other(error.to_string()))?,
        None => Broker::tcp(settings.server.host.clone(), settings.server.port),
    };
    let mut options = MqttOptions::new(settings.client_id.clone(), broker);
    let once = Mutex::new(Some(stream));
    options
        .set_socket_connector(move |_, _| {
            let stream = once.lock().take();
            async move { stream.ok_or_else(|| io::Error::other("the session is over")) }
        })
        .set_keep_alive(settings.keep_alive_seconds)
        .set_max_packet_size(Some(INBOUND_BYTES))
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_max_request_batch(BATCH)
        .set_connect_timeout(crate::sink::mqtt::CONNECT_TIMEOUT * 2);
    if let Some(delay) = settings.will_delay_seconds {
        // A will is due at the end of the session at the latest.
        options.set_session_expiry_interval(Some(SESSION_SECONDS.max(delay)));
    }
    match (&settings.user, &settings.password) {
        (Some(user), Some(password)) => {
            options.set_credentials(user.clone(), password.expose().to_owned());
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        (None, Some(password)) => {
            options.set_password(password.expose().to_owned());
        }
        (None, None) => {}
    }
    Ok(options)
}

/// Creates the client and its event loop; the first poll connects.
pub(in crate::sink::mqtt) fn open(
    settings: &MqttSettings,
    stream: Stream,
) -> Result<(Client, EventLoop), Trouble> {
    let mut options = options(settings, stream)?;
    options.set_clean_start(true);
    if let Some(topic) = &settings.state_topic {
        let properties = settings.will_delay_seconds.map(|delay| LastWillProperties {
            delay_interval: Some(delay),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        });
        options.set_last_will(LastWill::new(topic, "offline", QoS::AtLeastOnce, true, properties));
    }
    let (client, events) = AsyncClient::builder(options).capacity(QUEUE).build();
    let expire_seconds = (settings.expire_seconds > 0).then_some(settings.expire_seconds);
    let cloudevents = settings.cloudevents.clone();
    Ok((Client { client, expire_seconds, cloudevents }, events))
}

/// Takes the session of the former owner over and leaves it: its link is cut, and its will, whose delay is not over, is
/// not published. A clean start would publish it, and the client cannot publish in a session that it did not begin.
pub(in crate::sink::mqtt) async fn take_over(settings: &MqttSettings, stream: Stream) -> Result<(), Trouble> {
    let mut options = options(settings, stream)?;
    options
        .set_clean_start(false)
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly);
    let (client, mut events) = AsyncClient::builder(options).capacity(QUEUE).build();
    while !matches!(events.poll().await.map_err(trouble)?, Event::Incoming(Incoming::ConnAck(_))) {}
    client.disconnect_now().await.ok();
    // Until it is sent, and the broker has closed the connection.
    while events.poll().await.is_ok() {}
    Ok(())
}

impl Client {
    /// Size of the packet in bytes.
    pub(in crate::sink::mqtt) fn packet_bytes(&self, message: &Message) -> usize {
        let properties = Some(self.properties(message));
        Publish::new(message.topic.clone(), QoS::AtLeastOnce, message.payload.clone(), properties).size()
    }

    /// Queues a message.
    pub(in crate::sink::mqtt) async fn publish(&self, message: Message) -> Option<PendingPublish> {
        let options =
            PublishOptions::at_least_once().retain(message.retain).properties(self.properties(&message));
        match self.client.publish_tracked(message.topic, message.payload, options).await {
            Ok(notice) => Some(PendingPublish::V5(notice)),
            Err(ClientError::InvalidRequest(_)) => Some(PendingPublish::Settled(refused(
                RefusalCode::TopicInvalid,
                "MQTT does not allow this topic".into(),
            ))),
            Err(_) => None,
        }
    }

    /// Properties of a message: content type, `id`, `event`, `time` or the attributes of CloudEvents, and the expiry of
    /// the log lane.
    fn properties(&self, message: &Message) -> PublishProperties {
        let source = self.cloudevents.as_deref();
        let attributes = source.map(|source| cloudevents::attributes(source, message)).unwrap_or_default();
        let mut user: Vec<(String, String)> =
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // The attributes include id and time.
        let plain = user.is_empty();
        user.extend(message.id.filter(|_| plain).map(|id| ("id".to_owned(), id.to_string())));
        user.extend(message.event.as_ref().map(|event| ("event".to_owned(), event.to_string())));
        user.extend(message.time.clone().filter(|_| plain).map(|time| ("time".to_owned(), time)));
        PublishProperties {
            message_expiry_interval: self.expire_seconds.filter(|_| !message.retain),
            content_type: (!message.content_type.is_empty()).then(|| message.content_type.to_owned()),
            user_properties: user,
            ..PublishProperties::default()
        }
    }

    /// Queues the answer to a request.
    pub(in crate::sink::mqtt) async fn answer(
        &self,
        topic: String,
        payload: Bytes,
        correlation: Option<Bytes>,
    ) {
        let properties = PublishProperties {
            content_type: Some("application/json".into()),
            correlation_data: correlation,
            ..PublishProperties::default()
        };
        let options = PublishOptions::at_most_once().properties(properties);
        // The client repeats its request if the connection breaks.
        self.client.publish(topic, payload, options).await.ok();
    }

    /// Subscribes.
    pub(in crate::sink::mqtt) async fn subscribe(
        &self,
        filters: &[Subscription],
    ) -> Option<Vec<Result<(), String>>> {
        let wanted = filters.iter().map(|filter| {
            let stored =
                if filter.stored { RetainForwardRule::OnEverySubscribe } else { RetainForwardRule::Never };
            SubscribeFilterInput::new(filter.path.clone(), QoS::AtMostOnce)
                .no_local(filter.no_local)
                .retain_forward_rule(stored)
        });
        let notice = match self.client.subscribe_many_tracked(wanted).await {
            Ok(notice) => notice,
            Err(ClientError::InvalidRequest(_)) => {
                return Some(
                    filters.iter().map(|_| Err("MQTT does not allow this topic filter".into())).collect(),
                );
            }
            Err(_) => return None,
        };
        let ack = notice.wait_async().await.ok()?;
        Some(ack.return_codes.iter().map(granted).collect())
    }

    /// Unsubscribes.
    pub(in crate::sink::mqtt) async fn unsubscribe(&self, filter: &str) {
        // A closed connection has no subscriptions.
        self.client.unsubscribe(filter.to_owned()).await.ok();
    }

    /// Sends DISCONNECT at once.
    pub(in crate::sink::mqtt) async fn disconnect(&self) {
        // A closed connection needs no DISCONNECT.
        self.client.disconnect_now().await.ok();
    }
}

/// Result of the subscription to one filter.
fn granted(code: &SubscribeReasonCode) -> Result<(), String> {
    match code {
        SubscribeReasonCode::Success(_) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

impl Events for EventLoop {
    async fn turn(&mut self) -> Result<Turn, Trouble> {
        match self.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(ack))) => limits(&ack).map(Turn::Accepted),
            Ok(Event::Incoming(Incoming::Publish(publish))) => Ok(Turn::Message(Inbound {
                topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                payload: publish.payload,
                retained: publish.retain,
                reply: publish.properties.map_or_else(ReplyAddress::default, |properties| ReplyAddress {
                    topic: properties.response_topic,
                    correlation: properties.correlation_data,
                }),
            })),
            Ok(Event::Incoming(Incoming::Disconnect(disconnect))) => {
                let words = disconnect.properties.and_then(|properties| properties.reason_string);
                Err(disconnected(disconnect.reason_code, words))
            }
            Ok(_) => Ok(Turn::Other),
            Err(error) => Err(trouble(error)),
        }
    }
}

/// Limits of the broker; an error if it lacks a required feature.
fn limits(ack: &ConnAck) -> Result<BrokerLimits, Trouble> {
    let properties = ack.properties.as_ref();
    if properties.and_then(|p| p.max_qos) == Some(0) {
        return Err(Trouble::Refused(ConnectRefusal::Unable("QoS 1")));
    }
    if properties.and_then(|p| p.retain_available) == Some(0) {
        return Err(Trouble::Refused(ConnectRefusal::Unable("retained messages")));
    }
    let bytes = properties.and_then(|p| p.max_packet_size).and_then(|bytes| usize::try_from(bytes).ok());
    let window = properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX);
    Ok(BrokerLimits {
        packet_bytes: bytes.filter(|bytes| *bytes < PROTOCOL_BYTES),
        window: usize::from(window.clamp(1, WINDOW)),
        keep_alive: properties.and_then(|p| p.server_keep_alive),
    })
}

/// Outcome of a message; `None`: the connection broke.
pub(in crate::sink::mqtt) fn outcome(result: Result<PublishResult, PublishNoticeError>) -> Option<Outcome> {
    match result {
        Ok(PublishResult::Qos1(ack)) => Some(verdict(&ack)),
        Err(PublishNoticeError::RetainNotSupported) => {
            Some(refused(RefusalCode::Permission, "the broker does not take retained messages".into()))
        }
        Ok(_) | Err(_) => None,
    }
}

/// Outcome that the reason code of a PUBACK stands for.
fn verdict(ack: &PubAck) -> Outcome {
    let words = ack.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
    let said = |what: &str| words.map_or_else(|| what.to_owned(), |words| format!("{what} ({words})"));
    match ack.reason {
        PubAckReason::Success => Outcome::Delivered { object: None, heard: None },
        PubAckReason::NoMatchingSubscribers => Outcome::Delivered { object: None, heard: Some(false) },
        PubAckReason::NotAuthorized => {
            let what = "0x87 not authorized: permit this user to publish the topic at the broker";
            refused(RefusalCode::Permission, said(what))
        }
        PubAckReason::TopicNameInvalid => {
            refused(RefusalCode::TopicInvalid, said("0x90 topic name invalid: choose another in [topics]"))
        }
        PubAckReason::PayloadFormatInvalid => {
            refused(RefusalCode::PayloadInvalid, said("0x99 payload format invalid"))
        }
        PubAckReason::QuotaExceeded => Outcome::Later(said("0x97 quota exceeded")),
        PubAckReason::PacketIdentifierInUse => Outcome::Later(said("0x91 packet identifier in use")),
        PubAckReason::UnspecifiedError => Outcome::Later(said("0x80 unspecified error")),
        PubAckReason::ImplementationSpecificError => {
            Outcome::Later(said("0x83 implementation specific error"))
        }
    }
}

/// Converts the error that ended a connection.
fn trouble(error: ConnectionError) -> Trouble {
    match error {
        ConnectionError::ConnectionRefused(code) => Trouble::Refused(refusal(code)),
        ConnectionError::Timeout(_) | ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Trouble::Silent
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => Trouble::Closed,
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            disconnected(reason_code, reason_string)
        }
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)),
        ) => Trouble::from(error),
        ConnectionError::MqttState(StateError::Deserialization(PacketError::InvalidConnectReturnCode(
            PACKET_TOO_LARGE,
        ))) => Trouble::TooLarge,
        other => Trouble::Other(other.to_string()),
    }
}

/// Converts the broker's DISCONNECT.
fn disconnected(code: DisconnectReasonCode, words: Option<String>) -> Trouble {
    if code == DisconnectReasonCode::SessionTakenOver {
        return Trouble::TakenOver;
    }
    if code == DisconnectReasonCode::NotAuthorized {
        return Trouble::NotPermitted(words.map_or_else(String::new, |words| format!(" ({words})")));
    }
    let meaning = match code {
        DisconnectReasonCode::ServerShuttingDown => "it shuts down",
        DisconnectReasonCode::ServerBusy => "it is busy",
        DisconnectReasonCode::KeepAliveTimeout => "it heard nothing from us within the keep-alive",
        DisconnectReasonCode::PacketTooLarge => "a message was over its packet limit",
        DisconnectReasonCode::ReceiveMaximumExceeded => "too many messages were unacknowledged",
        DisconnectReasonCode::MessageRateTooHigh => "messages come faster than it allows",
        DisconnectReasonCode::QuotaExceeded => "a quota is exhausted",
        DisconnectReasonCode::AdministrativeAction => "its administrator ended it",
        _ => "",
    };
    let words = words.unwrap_or_default();
    let all = [meaning, words.as_str()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
    Trouble::Disconnected(format!("{code:?} ({:#04x}) {}", code as u8, all.join(", ")).trim_end().to_owned())
}

/// Converts the reason of a refused CONNECT.
fn refusal(code: ConnectReturnCode) -> ConnectRefusal {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::BadAuthenticationMethod => {
            ConnectRefusal::Password
        }
        ConnectReturnCode::NotAuthorized => ConnectRefusal::NotAuthorized,
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => {
            ConnectRefusal::ClientId
        }
        ConnectReturnCode::RefusedProtocolVersion | ConnectReturnCode::UnsupportedProtocolVersion => {
            ConnectRefusal::Version
        }
        ConnectReturnCode::Banned => ConnectRefusal::Banned,
        ConnectReturnCode::RetainNotSupported => ConnectRefusal::Unable("retained messages"),
        ConnectReturnCode::QoSNotSupported => ConnectRefusal::Unable("QoS 1"),
        ConnectReturnCode::ServiceUnavailable
        | ConnectReturnCode::ServerUnavailable
        | ConnectReturnCode::ServerBusy
        | ConnectReturnCode::QuotaExceeded
        | ConnectReturnCode::UseAnotherServer
        | ConnectReturnCode::ServerMoved
        | ConnectReturnCode::ConnectionRateExceeded => ConnectRefusal::Unavailable(format!("{code:?}")),
        other => ConnectRefusal::Other(format!("{other:?}")),
    }
}
