//! One connection to one of the servers, in bounded time, whose end is an end: the client's own reconnecting and
//! its buffer, into which it would publish while there is no link, are disarmed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use tokio::time::Instant;

use super::failure::{self, down};
use super::link::Ending;
use super::tls;
use crate::config::{self, Secret};
use crate::sink::SinkDown;

/// How long all servers together may take.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// How often a quiet link is tried; after two unanswered pings it counts as broken.
const PING: Duration = Duration::from_secs(10);
/// Nobody can listen on port 0, so this one attempt of the client to reconnect fails at once.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// A connection, and where it leads.
pub(super) struct Dialled {
    pub(super) client: Client,
    /// `host:port`.
    pub(super) place: String,
}

/// Connects to the first server that takes us, in the order of the configuration.
///
/// # Errors
/// When none does: the reasons of all.
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
    Err(failed
        .unwrap_or_else(|| down("broker_unreachable", "nats.servers is empty: name at least one server")))
}

/// Two reasons in one; the code is that of the first that got further than the network.
fn both(before: Option<SinkDown>, error: SinkDown) -> SinkDown {
    let Some(before) = before else { return error };
    let code = if before.code == "broker_unreachable" { error.code } else { before.code };
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
        // The text itself may hold a password.
        down(
            "broker_unreachable",
            format!("an entry of nats.servers is no address like nats://host:4222: {error}"),
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
            async move { events.heard(&event) }
        });
    let client = match tokio::time::timeout(share, options.connect(address)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(failure::connect(&error, &place, &who)),
        Err(_) => {
            return Err(down("broker_unreachable", format!("{place} does not answer within {share:.0?}")));
        }
    };
    client
        .set_server_pool(NOWHERE)
        .await
        .map_err(|error| down("broker_unreachable", format!("the link to {place} broke at once: {error}")))?;
    Ok(Dialled { client, place })
}

/// Adds what we log in with, and says what that is, without secrets.
async fn login(
    options: ConnectOptions,
    config: &config::Nats,
    address: &ServerAddr,
) -> Result<(ConnectOptions, String), SinkDown> {
    if let Some(path) = &config.credentials {
        let options = options.credentials_file(path).await.map_err(|error| {
            down("broker_refused", format!("nats.credentials: {}: {error}", path.display()))
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

/// A secret, or the content of its file.
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
                Err(down("broker_refused", format!("nats.{key}_file: {}: {error}", path.display())))
            }
        },
        (None, None) => Ok(None),
    }
}
