//! The MQTT broker that runs while no sink is configured, so that `alarmbus` works with nothing installed. The bridge
//! connects to it over TCP like to any other.

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

/// How many ports after the wanted one are tried.
const PORTS: u16 = 100;
/// The largest packet: a picture is at most 16 MiB.
const PACKET_BYTES: usize = 32 << 20;
/// What waits for one client that is away, in memory.
const QUEUE_BYTES: usize = 16 << 20;
/// How long a client's session outlives its connection.
const SESSION: Duration = Duration::from_secs(24 * 3600);
/// How long the answer to a wrong password is held back, against guessing.
const WRONG: Duration = Duration::from_secs(1);
/// How long a stop may take.
const STOP: Duration = Duration::from_secs(1);

/// A running broker; dropping it stops it at once.
pub struct Embedded {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Who subscribes: for the page, for findings, and for [`super::mqtt::Mqtt::with_audience`].
    pub audience: Audience,
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<()>,
}

impl Embedded {
    /// Starts a broker with memory storage on `broker.bind`, or on the next free port, which is logged.
    ///
    /// # Errors
    /// One sentence for people: no port is free, the address is not this machine's, or it is open to the network
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

    /// Stops it; clients are told, within a second.
    pub async fn stop(mut self) {
        self.shutdown.shutdown();
        // Dropping it aborts what is left.
        timeout(STOP, &mut self.task).await.ok();
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shutdown.shutdown();
        self.task.abort();
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("addr", &self.addr)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// The broker on the first free port.
async fn bind(broker: &Broker, audience: &Audience) -> Result<MqttBroker, String> {
    let first = broker.bind.port();
    let mut failure = String::new();
    for port in first..=first.saturating_add(if first == 0 { 0 } else { PORTS }) {
        let addr = SocketAddr::new(broker.bind.ip(), port);
        // The broker tells no kinds of error; only a taken port is a reason to try the next.
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

/// Memory only, one listener, no `$SYS` topics.
fn config(addr: SocketAddr, audience: &Audience) -> BrokerConfig {
    BrokerConfig::default()
        .with_bind_addresses(vec![addr])
        .with_max_packet_size(PACKET_BYTES)
        .with_session_expiry(SESSION)
        .with_sys_topics_enabled(false)
        .with_storage(
            StorageConfig::default()
                .with_backend(StorageBackend::Memory)
                .with_max_queued_bytes_per_client(QUEUE_BYTES),
        )
        .with_event_handler(Arc::new(Ears(audience.clone())))
}

/// What the broker's callbacks return.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps the audience up to date.
struct Ears(Audience);

impl BrokerEventHandler for Ears {
    fn on_client_connect<'a>(&'a self, event: ClientConnectEvent) -> Boxed<'a, ()> {
        self.0.came(&event.client_id, event.clean_start, event.session_expiry_interval > 0);
        Box::pin(async {})
    }

    fn on_client_subscribe<'a>(&'a self, event: ClientSubscribeEvent) -> Boxed<'a, ()> {
        for subscription in &event.subscriptions {
            let granted = matches!(
                subscription.result,
                SubAckReasonCode::GrantedQoS0 | SubAckReasonCode::GrantedQoS1 | SubAckReasonCode::GrantedQoS2
            );
            if granted {
                self.0.joined(&event.client_id, &subscription.topic_filter);
            }
        }
        Box::pin(async {})
    }

    fn on_client_unsubscribe<'a>(&'a self, event: ClientUnsubscribeEvent) -> Boxed<'a, ()> {
        event.topic_filters.iter().for_each(|filter| self.0.left(&event.client_id, filter));
        Box::pin(async {})
    }

    fn on_client_disconnect<'a>(&'a self, event: ClientDisconnectEvent) -> Boxed<'a, ()> {
        self.0.gone(&event.client_id);
        Box::pin(async {})
    }
}

/// One user with one password, who may do everything. Without a user name only the password counts.
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
            sleep(WRONG).await;
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
