//! One connection to one of the servers, in bounded time. The client's own reconnecting is disabled, and so is its
//! buffer, which would accept messages while there is no connection.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use tokio::time::Instant;

use super::failure::{self, down};
use super::link::ending::Ending;
use super::tls;
use crate::config::{self, Secret};
use crate::findings::FindingCode;
use crate::sink::SinkDown;

/// Maximum connect time for all servers together.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Interval between pings on an idle connection; it counts as broken after two unanswered pings.
const PING: Duration = Duration::from_secs(10);
/// Address of the client's only reconnect attempt. Nothing can listen on port 0, so the attempt fails at once.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// Connection and its server.
pub(super) struct Dialled {
    pub(super) client: Client,
    /// `host:port`.
    pub(super) place: String,
}

/// Connects to the first server that accepts, in the order of the configuration.
///
/// # Errors
/// Returns the reasons of all servers when none accepts.
pub(super) async fn dial(
    config: &config::Nats,
    name: &str,
    ending: &Arc<Ending>,
) -> Result<Dialled, SinkDown> {
    let until = Instant::now() + CONNECT;
    let mut failed: Option<SinkDown> = None;
    for (tried, server) in config.servers.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(config.servers.len() - tried).unwrap_or(1);
        match one(config, server, name, ending, share).await {
            Ok(dialled) => return Ok(dialled),
            Err(error) => failed = Some(both(failed, error)),
        }
    }
    Err(failed.unwrap_or_else(|| {
        down(FindingCode::BrokerUnreachable, "nats.servers is empty: name at least one server")
    }))
}

/// Connects to any of the servers, with the client's own reconnecting.
///
/// # Errors
/// Fails when no server accepts.
pub(crate) async fn client(config: &config::Nats, name: &str) -> Result<Client, SinkDown> {
    let mut servers = Vec::new();
    for server in &config.servers {
        let address: ServerAddr = server.parse().map_err(|error| {
            down(
                FindingCode::ClusterUnreachable,
                format!("an entry of cluster.servers is not an address: {error}"),
            )
        })?;
        servers.push(address);
    }
    let Some(first) = servers.first() else {
        return Err(down(
            FindingCode::ClusterUnreachable,
            "cluster.servers is empty: name at least one server",
        ));
    };
    let (options, _) = login(ConnectOptions::new(), config, first).await?;
    let options = tls::add(options, config)
        .await?
        .name(name)
        .custom_inbox_prefix("_INBOX_alarmbus")
        .connection_timeout(Duration::from_secs(2))
        .ping_interval(PING / 4);
    options.connect(servers).await.map_err(|error| {
        down(FindingCode::ClusterUnreachable, format!("no server of cluster.servers takes us: {error}"))
    })
}

/// Returns whether the version of a server is at least this one.
pub(crate) fn is_at_least(version: &str, least: (u64, u64)) -> bool {
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u64>().ok());
    least <= (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Combines two reasons; the code is that of the first error beyond the network.
fn both(before: Option<SinkDown>, error: SinkDown) -> SinkDown {
    let Some(before) = before else { return error };
    let code = if before.code == FindingCode::BrokerUnreachable { error.code } else { before.code };
    down(code, format!("{}; {}", before.reason, error.reason))
}

async fn one(
    config: &config::Nats,
    server: &str,
    name: &str,
    ending: &Arc<Ending>,
    share: Duration,
) -> Result<Dialled, SinkDown> {
    let address: ServerAddr = server.parse().map_err(|error| {
        // The text itself may contain a password.
        down(
            FindingCode::BrokerUnreachable,
            format!("an entry of nats.servers is not an address like nats://host:4222: {error}"),
        )
    })?;
    let place = format!("{}:{}", address.host(), address.port());
    let (options, who) = login(ConnectOptions::new(), config, &address).await?;
    let events = Arc::clone(ending);
    let options = tls::add(options, config)
        .await?
        .name(name)
        .connection_timeout(share)
        .ping_interval(PING)
        .ignore_discovered_servers()
        .max_reconnects(1)
        .event_callback(move |event| {
            let events = Arc::clone(&events);
            async move { events.handle_event(&event) }
        });
    let client = match tokio::time::timeout(share, options.connect(address)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(failure::connect(&error, &place, &who, config.cert.is_some())),
        Err(_) => {
            return Err(down(
                FindingCode::BrokerUnreachable,
                format!("{place} does not answer within {share:.0?}"),
            ));
        }
    };
    client.set_server_pool(NOWHERE).await.map_err(|error| {
        down(FindingCode::BrokerUnreachable, format!("the link to {place} broke at once: {error}"))
    })?;
    Ok(Dialled { client, place })
}

/// Adds the credentials, and returns a description without secrets.
async fn login(
    options: ConnectOptions,
    config: &config::Nats,
    address: &ServerAddr,
) -> Result<(ConnectOptions, String), SinkDown> {
    if let Some(path) = &config.credentials {
        let options = options.credentials_file(path).await.map_err(|error| {
            down(FindingCode::BrokerRefused, format!("nats.credentials: {}: {error}", path.display()))
        })?;
        return Ok((options, format!("credentials file {}", path.display())));
    }
    if let Some(seed) = secret("nkey", config.nkey.as_ref(), config.nkey_file.as_ref()).await? {
        return Ok((options.nkey(seed), "nkey".into()));
    }
    if let Some(token) = secret("token", config.token.as_ref(), config.token_file.as_ref()).await? {
        return Ok((options.token(token), "token".into()));
    }
    let password = secret("password", config.password.as_ref(), config.password_file.as_ref()).await?;
    match (&config.user, address.username(), address.password()) {
        (Some(user), _, _) => Ok((
            options.user_and_password(user.clone(), password.unwrap_or_default()),
            format!("user {user:?}"),
        )),
        (None, Some(user), Some(password)) => {
            Ok((options.user_and_password(user.into(), password.into()), format!("user {user:?}")))
        }
        (None, Some(token), None) => Ok((options.token(token.into()), "token".into())),
        (None, None, _) => Ok((options, "no user".into())),
    }
}

/// Secret from the configuration or from its file.
async fn secret(
    key: &str,
    value: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<Option<String>, SinkDown> {
    match (value, file) {
        (Some(secret), _) => Ok(Some(secret.expose().to_owned())),
        (None, Some(path)) => match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => {
                Err(down(FindingCode::BrokerRefused, format!("nats.{key}_file: {}: {error}", path.display())))
            }
        },
        (None, None) => Ok(None),
    }
}
