//! Checks of the NATS servers and instances of a cluster, for `alarmbus doctor`. They change nothing: what is published is
//! refused by the streams, since it expects a sequence that they do not have.

use std::time::Duration;

use async_nats::jetstream::stream::Info;
use async_nats::{Client, HeaderMap, ServerInfo};
use futures_util::StreamExt as _;
use futures_util::future::join_all;

use super::monitoring;
use super::streams;
use crate::config;
use crate::model::cluster::{ClusterStatus, MemberStatus};

/// Longest time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Oldest version of the servers that refuses values of a displaced owner.
const OLDEST: (u64, u64) = (2, 11);
/// Number of servers that keep each stream.
const REPLICAS: usize = 3;

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
    /// Nothing is known.
    Unknown,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterCheck {
    /// Stable name.
    pub code: &'static str,
    /// Statement that is checked.
    pub title: &'static str,
    /// Result.
    pub state: CheckState,
    /// Cause.
    pub detail: String,
    /// Remedy, if all is not well.
    pub remedy: &'static str,
}

/// Checks servers, streams, account and instances. `status`: the cluster as the running instance sees it. `monitoring`:
/// monitoring addresses of the servers; if none is given, port 8222 of each.
pub async fn examine(
    config: &config::Cluster,
    status: &ClusterStatus,
    monitoring: &[String],
) -> Vec<ClusterCheck> {
    let servers = join_all(config.servers.iter().map(|server| connect(config, server))).await;
    let client = servers.iter().find_map(|server| server.answer.as_ref().ok()).cloned();
    let (streams, denied) = match &client {
        Some(client) => tokio::join!(stream_infos(config, client), denied(config, client)),
        None => (Vec::new(), Vec::new()),
    };
    let permissions = client.as_ref().map(|_| denied);
    vec![
        quorum(&servers, &streams),
        versions(&servers),
        replicas(&streams),
        sync(&servers, monitoring).await,
        self::permissions(permissions.as_deref()),
        clocks(status),
        settings(status),
        webhooks(status),
    ]
}

/// A server, and the connection to it.
struct Server {
    place: String,
    answer: Result<Client, String>,
}

impl Server {
    fn info(&self) -> Option<ServerInfo> {
        self.answer.as_ref().ok().map(Client::server_info)
    }
}

async fn connect(config: &config::Cluster, server: &str) -> Server {
    let place = server.rsplit('@').next().unwrap_or_default();
    let place = place.rsplit("//").next().unwrap_or_default().to_owned();
    let nats = config::Nats { servers: vec![server.to_owned()], ..config.nats() };
    let connected = tokio::time::timeout(ANSWER_TIMEOUT, crate::sink::nats::client(&nats, "alarmbus doctor"));
    let answer = match connected.await {
        Ok(answer) => answer.map_err(|down| down.reason),
        Err(_) => Err("it does not answer".into()),
    };
    Server { place, answer }
}

/// All streams, each with its state or the reason for which there is none.
async fn stream_infos(config: &config::Cluster, client: &Client) -> Vec<(String, Result<Info, String>)> {
    let mut js = async_nats::jetstream::new(client.clone());
    js.set_timeout(ANSWER_TIMEOUT);
    let infos = streams::names(config).into_iter().map(|name| {
        let js = js.clone();
        async move {
            let info = match js.get_stream(&name).await {
                Ok(stream) => Ok(stream.cached_info().clone()),
                Err(error) => Err(error.to_string()),
            };
            (name, info)
        }
    });
    join_all(infos).await
}

fn check(
    code: &'static str,
    title: &'static str,
    bad: &[String],
    good: String,
    remedy: &'static str,
) -> ClusterCheck {
    let (state, detail) =
        if bad.is_empty() { (CheckState::Good, good) } else { (CheckState::Bad, bad.join("; ")) };
    ClusterCheck { code, title, state, detail, remedy }
}

fn quorum(servers: &[Server], streams: &[(String, Result<Info, String>)]) -> ClusterCheck {
    let answering = servers.iter().filter(|server| server.answer.is_ok()).count();
    let mut bad: Vec<String> = Vec::new();
    for server in servers {
        if let Err(reason) = &server.answer {
            bad.push(format!("{}: {reason}", server.place));
        }
    }
    for (name, info) in streams {
        match info {
            Err(reason) => bad.push(format!("{name}: {reason}")),
            Ok(info) if info.cluster.as_ref().is_some_and(|cluster| cluster.leader.is_none()) => {
                bad.push(format!("{name} has no leader"));
            }
            Ok(_) => {}
        }
    }
    check(
        "cluster_quorum",
        "All NATS servers of the cluster answer, and its streams have leaders",
        &bad,
        format!("{answering} of {} servers", servers.len()),
        "Start the servers that are named. More than half of them must run with JetStream, as one cluster.",
    )
}

fn versions(servers: &[Server]) -> ClusterCheck {
    let versions: Vec<(String, String)> =
        servers.iter().filter_map(|server| Some((server.place.clone(), server.info()?.version))).collect();
    let is_old = |version: &str| !crate::sink::nats::is_at_least(version, OLDEST);
    let old: Vec<String> = versions
        .iter()
        .filter(|(_, version)| is_old(version))
        .map(|(place, version)| format!("{place} runs nats-server {version}"))
        .collect();
    let mut all: Vec<&str> = versions.iter().map(|(_, version)| version.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    let remedy = "Run nats-server 2.11 or newer on all servers of [cluster].";
    let found = check("cluster_versions", "The NATS servers are new enough", &old, all.join(", "), remedy);
    if versions.is_empty() { unknown(found, "no server answers") } else { found }
}

fn replicas(streams: &[(String, Result<Info, String>)]) -> ClusterCheck {
    let mut bad = Vec::new();
    for (name, info) in streams.iter().filter_map(|(name, info)| Some((name, info.as_ref().ok()?))) {
        if info.config.num_replicas < REPLICAS {
            bad.push(format!("{name} is on {} of {REPLICAS} servers", info.config.num_replicas));
        }
        let peers = info.cluster.iter().flat_map(|cluster| &cluster.replicas);
        let behind = peers.filter(|peer| peer.offline || !peer.current);
        bad.extend(behind.map(|peer| format!("{name} is not up to date on {}", peer.name)));
    }
    let found = check(
        "cluster_replicas",
        "Each stream is on three NATS servers",
        &bad,
        format!("{} streams", streams.len()),
        "Set cluster.replicas = 3; streams that exist are changed with `nats stream edit NAME --replicas 3`. A server that lags behind must run, and be reached by the others.",
    );
    if streams.iter().any(|(_, info)| info.is_ok()) { found } else { unknown(found, "no stream answers") }
}

/// Checks `sync_interval` at the monitoring addresses that belong to the servers.
async fn sync(servers: &[Server], monitoring: &[String]) -> ClusterCheck {
    let places = servers.iter().filter_map(|server| server.place.rsplit_once(':'));
    let mut addresses: Vec<String> = places.map(|(host, _)| format!("{host}:8222")).collect();
    if !monitoring.is_empty() {
        addresses = monitoring.to_vec();
    }
    let answers = join_all(addresses.iter().map(|address| monitoring::jetstream(address))).await;
    let answers: Vec<monitoring::JetStream> = answers.into_iter().flatten().collect();
    let (mut bad, mut missing) = (Vec::new(), Vec::new());
    for server in servers {
        let id = server.info().map(|info| info.server_id);
        match answers.iter().find(|answer| Some(&answer.server_id) == id.as_ref()) {
            None => missing.push(server.place.clone()),
            Some(answer) if answer.config.sync_always => {}
            Some(answer) => {
                let seconds = answer.config.sync_interval / 1_000_000_000;
                bad.push(format!("{} writes to its disk each {seconds} s", server.place));
            }
        }
    }
    let found = check(
        "cluster_sync",
        "Each NATS server writes to its disk before it acknowledges",
        &bad,
        "sync_interval: always".into(),
        "Set `sync_interval: always` in the jetstream section of each NATS server, so that a power cut of all of them loses nothing. Name monitoring addresses that are not at port 8222 with --monitoring.",
    );
    let why = format!("not checked: no monitoring port answers for {}", missing.join(", "));
    if bad.is_empty() && !missing.is_empty() { unknown(found, &why) } else { found }
}

fn permissions(denied: Option<&[String]>) -> ClusterCheck {
    let bad: Vec<String> = denied.into_iter().flatten().map(|what| format!("no answer to {what}")).collect();
    let found = check(
        "cluster_permissions",
        "The NATS account may do what the cluster needs",
        &bad,
        String::new(),
        "Give the account of [cluster] what `alarmbus cluster permissions` prints. Without a quorum nothing answers either.",
    );
    if denied.is_none() { unknown(found, "no server answers") } else { found }
}

/// Requests that nobody answers, though the streams are there: the account may not send them, or not receive the answer.
async fn denied(config: &config::Cluster, client: &Client) -> Vec<String> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", (u64::MAX >> 1).to_string().as_str());
    let prefix = &config.prefix;
    let stored = (0..config.partitions)
        .flat_map(|k| [format!("{prefix}.in.{k}"), format!("{prefix}.log.{k}")])
        .chain([
            format!("{prefix}.pic.doctor.0"),
            "$KV.ALARMBUS_LEASE.doctor".to_owned(),
            "$KV.ALARMBUS_STATE.doctor".to_owned(),
        ]);
    let mut requests: Vec<(String, HeaderMap, &'static str)> =
        stored.map(|subject| (subject, headers.clone(), "")).collect();
    requests.push(("$JS.API.INFO".into(), HeaderMap::new(), ""));
    for stream in streams::names(config) {
        let direct = r#"{"seq":1}"#;
        requests.push((format!("$JS.API.DIRECT.GET.{stream}"), HeaderMap::new(), direct));
        for verb in [
            "STREAM.INFO.S",
            "CONSUMER.CREATE.S.doctor",
            "CONSUMER.INFO.S.doctor",
            "CONSUMER.DELETE.S.doctor",
        ] {
            let subject = format!("$JS.API.{}", verb.replace(".S", &format!(".{stream}")));
            requests.push((subject, HeaderMap::new(), ""));
        }
        if stream.starts_with("ALARMBUS_IN") {
            // Messages before the first one: none.
            requests.push((format!("$JS.API.STREAM.PURGE.{stream}"), HeaderMap::new(), r#"{"seq":1}"#));
        }
    }
    let answers = join_all(requests.into_iter().map(|(subject, headers, payload)| async move {
        let sent = client.request_with_headers(subject.clone(), headers, payload.into());
        let answered = matches!(tokio::time::timeout(ANSWER_TIMEOUT, sent).await, Ok(Ok(_)));
        (!answered).then_some(subject)
    }));
    let (answers, news) = tokio::join!(answers, news(config, client));
    answers.into_iter().flatten().chain(news).collect()
}

/// Subject that announcements could not be received at, if so.
async fn news(config: &config::Cluster, client: &Client) -> Option<String> {
    let subject = format!("{}.doctor", config.prefix);
    let received = async {
        let mut subscriber = client.subscribe(subject.clone()).await.ok()?;
        client.publish(subject.clone(), "".into()).await.ok()?;
        subscriber.next().await
    };
    let received = tokio::time::timeout(ANSWER_TIMEOUT, received).await;
    (!matches!(received, Ok(Some(_)))).then_some(subject)
}

/// Names of the instances that satisfy a condition.
fn names(status: &ClusterStatus, is: impl Fn(&MemberStatus) -> bool) -> Vec<&str> {
    status.members.iter().filter(|member| is(member)).map(|member| member.name.as_str()).collect()
}

/// Names of the instances that say something else of themselves than this one.
fn differing(status: &ClusterStatus, said: fn(&MemberStatus) -> &String) -> Vec<&str> {
    let own = status.members.iter().find(|member| member.name == status.instance);
    names(status, |member| own.is_some_and(|own| said(own) != said(member)))
}

fn clocks(status: &ClusterStatus) -> ClusterCheck {
    let code = crate::findings::FindingCode::ClusterClock.to_string();
    let off = names(status, |member| member.findings.contains(&code));
    let bad: Vec<String> = off.iter().map(|name| format!("the clock of {name} is off")).collect();
    let found = check(
        "cluster_clocks",
        "The clocks of instances and NATS servers agree",
        &bad,
        "within 2 s".into(),
        "Run a time service (NTP) on all machines of the cluster.",
    );
    of_members(status, found)
}

fn settings(status: &ClusterStatus) -> ClusterCheck {
    let differ = differing(status, |member| &member.settings);
    let bad: Vec<String> =
        differ.iter().map(|name| format!("{name} has other [devices] than {}", status.instance)).collect();
    let found = check(
        "cluster_settings",
        "All instances have the same settings",
        &bad,
        names(status, |_| true).join(", "),
        "Give all instances the same [devices] with their MAC addresses.",
    );
    of_members(status, found)
}

fn webhooks(status: &ClusterStatus) -> ClusterCheck {
    let differ = differing(status, |member| &member.webhooks);
    let found = ClusterCheck {
        code: "cluster_webhooks",
        title: "All instances have the same webhooks",
        state: CheckState::Good,
        detail: names(status, |_| true).join(", "),
        remedy: "Behind a balancer, or with an address that moves, give all instances the same [[webhooks]]. Where each camera has an address of each instance, they may differ.",
    };
    let why = format!("{} other than {}", differ.join(", "), status.instance);
    of_members(status, if differ.is_empty() { found } else { unknown(found, &why) })
}

/// A check of the instances, which are unknown without a connection.
fn of_members(status: &ClusterStatus, check: ClusterCheck) -> ClusterCheck {
    if status.connected { check } else { unknown(check, "this instance is not connected to the cluster") }
}

fn unknown(mut check: ClusterCheck, why: &str) -> ClusterCheck {
    check.state = CheckState::Unknown;
    check.detail = why.to_owned();
    check
}
