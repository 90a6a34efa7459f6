//! Embedded MQTT broker. It runs while no sink is configured, so that `alarmbus` works without any other program. The
//! bridge connects to it over TCP as to any broker.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use mqtt5::broker::events::{
    BrokerEventHandler, ClientConnectEvent, ClientDisconnectEvent, ClientSubscribeEvent,
    ClientUnsubscribeEvent, SubAckReasonCode,
};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::types::ReasonCode;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::mqtt::Audience;
use crate::config::{Broker, Secret};

/// Number of ports after the wanted one that are tried.
const PORT_ATTEMPTS: u16 = 100;
/// The largest packet: a picture is at most 16 MiB.
const PACKET_BYTES: usize = 32 << 20;
/// Maximum bytes queued in memory for one disconnected client.
const QUEUE_BYTES: usize = 16 << 20;
/// Time after a disconnect at which a client's session expires.
const SESSION_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// Delay of the response to a wrong password, against guessing.
const WRONG_PASSWORD_DELAY: Duration = Duration::from_secs(1);
/// Maximum duration of a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Running broker; dropping it stops it at once.
pub struct EmbeddedBroker {
    /// Address it listens on.
    pub addr: SocketAddr,
    /// Subscriptions, for the page, for findings, and for [`super::mqtt::MqttSink::with_audience`].
    pub audience: Audience,
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<()>,
}

impl EmbeddedBroker {
    /// Starts a broker with memory storage on `broker.bind`, or on the next free port, which is logged.
    ///
    /// # Errors
    /// Returns one sentence when no port is free, the address is not one of this machine, or it is open to the network
    /// without a password.
    pub async fn start(broker: &Broker) -> Result<Self, String> {
        if !broker.bind.ip().is_loopback() && broker.password.is_none() {
            return Err(format!(
                "the embedded broker does not open {} to the network without a password: set broker.user and \
                 broker.password, or bind a loopback address",
                broker.bind
            ));
        }
        let audience = Audience::default();
        let mut running = bind(broker, &audience).await?;
        if let Some(password) = broker.password.clone() {
            running = running.with_auth_provider(Arc::new(OneUser { user: broker.user.clone(), password }));
        }
        let addr = running.local_addr().ok_or("the embedded broker has no address")?;
        if broker.bind.port() != 0 && addr.port() != broker.bind.port() {
            tracing::warn!("{} is taken: the embedded broker listens on {addr}", broker.bind);
        }
        let (mut ready, shutdown) = (running.ready_receiver(), running.shutdown_handle());
        let task = tokio::spawn(async move {
            if let Err(error) = running.run().await {
                tracing::error!("the embedded broker ended: {error}");
            }
        });
        ready
            .wait_for(|ready| *ready)
            .await
            .map_err(|_| "the embedded broker ended while starting".to_owned())?;
        Ok(Self { addr, audience, shutdown, task })
    }

    /// Stops the broker; clients are disconnected within a second.
    pub async fn stop(mut self) {
        self.shutdown.shutdown();
        // Dropping it aborts the rest.
        timeout(STOP_TIMEOUT, &mut self.task).await.ok();
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.shutdown.shutdown();
        self.task.abort();
    }
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("addr", &self.addr)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Starts the broker on the first free port.
async fn bind(broker: &Broker, audience: &Audience) -> Result<MqttBroker, String> {
    let first = broker.bind.port();
    let mut failure = String::new();
    for port in first..=first.saturating_add(if first == 0 { 0 } else { PORT_ATTEMPTS }) {
        let addr = SocketAddr::new(broker.bind.ip(), port);
        // The broker reports no error kinds; only a port in use is a reason to try the next one.
        match TcpListener::bind(addr).await.map(drop) {
            Ok(()) => match MqttBroker::with_config(config(addr, audience)).await {
                Ok(bound) => return Ok(bound),
                Err(error) => failure = error.to_string(),
            },
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => failure = error.to_string(),
            Err(error) => {
                return Err(format!(
                    "the embedded broker cannot listen on {addr}: {error}; correct broker.bind"
                ));
            }
        }
    }
    Err(format!(
        "the embedded broker finds no free port from {} on ({failure}): set broker.bind to a free one, or to port 0",
        broker.bind
    ))
}

/// Settings of the broker: memory storage, one listener, no `$SYS` topics.
fn config(addr: SocketAddr, audience: &Audience) -> BrokerConfig {
    BrokerConfig::default()
        .with_bind_addresses(vec![addr])
        .with_max_packet_size(PACKET_BYTES)
        .with_session_expiry(SESSION_EXPIRY)
        .with_sys_topics_enabled(false)
        .with_storage(
            StorageConfig::default()
                .with_backend(StorageBackend::Memory)
                .with_max_queued_bytes_per_client(QUEUE_BYTES),
        )
        .with_event_handler(Arc::new(SubscriptionRecorder(audience.clone())))
}

/// Return type of the broker's callbacks.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Records subscriptions in the audience.
struct SubscriptionRecorder(Audience);

impl BrokerEventHandler for SubscriptionRecorder {
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Boxed<'a, ()> {
        self.0.connected(&event.client_id, event.clean_start, event.session_expiry_interval > 0);
        Box::pin(async {})
    }

    fn on_client_subscribe<'a>(&'a self, event: ClientSubscribeEvent) -> Boxed<'a, ()> {
        for subscription in &event.subscriptions {
            let granted = matches!(
                subscription.result,
                SubAckReasonCode::GrantedQoS0 | SubAckReasonCode::GrantedQoS1 | SubAckReasonCode::GrantedQoS2
            );
            if granted {
                self.0.subscribed(&event.client_id, &subscription.topic_filter);
            }
        }
        Box::pin(async {})
    }

    fn on_client_unsubscribe<'a>(&'a self, event: ClientUnsubscribeEvent) -> Boxed<'a, ()> {
        event.topic_filters.iter().for_each(|filter| self.0.unsubscribed(&event.client_id, filter));
        Box::pin(async {})
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Boxed<'a, ()> {
        self.0.disconnected(&event.client_id);
        Box::pin(async {})
    }
}

/// Authentication with one user and one password; the user may do everything. Without a configured user name only the
/// password counts.
struct OneUser {
    user: Option<String>,
    password: Secret,
}

impl OneUser {
    fn knows(&self, connect: &ConnectPacket) -> bool {
        let given = connect.password.as_deref().unwrap_or_default();
        let user = self.user.as_ref().is_none_or(|user| connect.username.as_ref() == Some(user));
        bool::from(given.ct_eq(self.password.expose().as_bytes())) && user
    }
}

impl AuthProvider for OneUser {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        _: SocketAddr,
    ) -> Boxed<'a, mqtt5::error::Result<AuthResult>> {
        let known = self.knows(connect);
        Box::pin(async move {
            if known {
                return Ok(AuthResult::success());
            }
            sleep(WRONG_PASSWORD_DELAY).await;
            Ok(AuthResult::fail(ReasonCode::BadUsernameOrPassword))
        })
    }

    fn authorize_publish<'a>(&'a self, _: &str, _: Option<&'a str>, _: &'a str) -> Boxed<'a, bool> {
        Box::pin(async { true })
    }

    fn authorize_subscribe<'a>(&'a self, _: &str, _: Option<&'a str>, _: &'a str) -> Boxed<'a, bool> {
        Box::pin(async { true })
    }
}
