//! `alarmbus doctor` in a cluster: what it finds at servers, streams, account and instances.

use std::collections::BTreeMap;

use serde_json::Value;

use super::members::{LEASE, Members, PATIENCE};
use crate::support::mosquitto::Settings;
use crate::support::nats::Nats;
use crate::support::{Bridge, Mosquitto, eventually, port};

/// State and detail of each check of the cluster, by code.
async fn doctor(bridge: &Bridge, monitoring: &[String]) -> BTreeMap<String, (String, String)> {
    let mut arguments = vec!["doctor", "--json"];
    arguments.extend(monitoring.iter().flat_map(|address| ["--monitoring", address.as_str()]));
    let (_, text) = bridge.command(&arguments).await;
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let lines = found["lines"].as_array().unwrap().iter();
    let of = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines: BTreeMap<_, _> =
        lines.map(|line| (of(line, "code"), (of(line, "state"), of(line, "detail")))).collect();
    for (code, (state, _)) in lines.iter().filter(|(code, _)| code.starts_with("cluster_")) {
        assert!(
            ["done", "failed", "unknown", "warning", "error"].contains(&state.as_str()),
            "{code}: {text}"
        );
    }
    lines
}

/// Waits until a check has a state and a detail with a text.
async fn finds(bridge: &Bridge, monitoring: &[String], code: &str, state: &str, text: &str) {
    let mut last = String::new();
    eventually(PATIENCE, &format!("{code} {state}: {text}"), async || {
        let lines = doctor(bridge, monitoring).await;
        let (is, detail) = lines.get(code)?;
        let now = format!("{code} {is}: {detail}");
        if now != last {
            println!("{now}");
            last = now;
        }
        (is == state && detail.contains(text)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_is_wrong_with_servers_and_streams() {
    let mut members = Members::start("2.15.1", 2, "", "").await;
    let mut monitoring = Vec::new();
    for server in &mut members.servers {
        let http = port::free();
        monitoring.push(format!("http://127.0.0.1:{http}"));
        server.edit("jetstream {", &format!("http: 127.0.0.1:{http}\njetstream {{ sync_interval: always,"));
        server.restart().await;
    }
    let bridge = &members.bridges[0];
    finds(bridge, &monitoring, "cluster_quorum", "done", "3 of 3 servers").await;
    finds(bridge, &monitoring, "cluster_replicas", "done", "5 streams").await;
    finds(bridge, &monitoring, "cluster_settings", "done", "a, b").await;
    let lines = doctor(bridge, &monitoring).await;
    for code in ["versions", "sync", "permissions", "clocks"] {
        assert_eq!(lines[&format!("cluster_{code}")].0, "done", "{code}: {lines:?}");
    }
    assert_eq!(lines["cluster_versions"].1, "2.15.1");
    // Each has a webhook of its own, which is right where each camera has both addresses.
    assert_eq!(lines["cluster_webhooks"], ("unknown".into(), "b other than a".into()));
    let lines = doctor(bridge, &[]).await;
    assert!(lines["cluster_sync"].1.contains("not checked"), "{lines:?}");

    members.servers[0].edit("sync_interval: always,", "");
    members.servers[0].restart().await;
    finds(bridge, &monitoring, "cluster_sync", "failed", "each 120 s").await;
    members.servers[0].kill();
    let place = members.links[0][0].port().to_string();
    finds(bridge, &monitoring, "cluster_quorum", "failed", &place).await;
    finds(bridge, &monitoring, "cluster_replicas", "failed", "is not up to date on n0").await;
}

/// An instance beside one server.
async fn one(server: &Nats, login: &str, broker: &Mosquitto) -> Bridge {
    let config = format!(
        "instance = \"a\"\n[cluster]\nservers = [\"{}\"]\nreplicas = 1\nlease_seconds = {LEASE}\n{login}\n[mqtt]\nserver = \"{}\"\n",
        server.url(),
        broker.url()
    );
    Bridge::start(&config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_the_account_may_not_do() {
    let mut server = Nats::one("2.11.11").await;
    let broker = Mosquitto::with(Settings::default()).await;
    let bridge = one(&server, "user = \"u\"\npassword = \"p\"", &broker).await;
    let (status, permissions) = bridge.command(&["cluster", "permissions"]).await;
    assert!(status.success(), "{permissions}");
    let user =
        format!("authorization {{ users: [ {{ user: u, password: p, {permissions} }} ] }}\njetstream {{");
    server.edit("jetstream {", &user);
    server.restart().await;
    finds(&bridge, &[], "cluster_permissions", "done", "").await;
    finds(&bridge, &[], "cluster_replicas", "failed", "ALARMBUS_LOG is on 1 of 3 servers").await;
    let purge = "\"$JS.API.STREAM.PURGE.ALARMBUS_IN\",";
    server.edit(purge, "");
    server.restart().await;
    let denied = "no answer to $JS.API.STREAM.PURGE.ALARMBUS_IN";
    finds(&bridge, &[], "cluster_permissions", "failed", denied).await;
    let lines = doctor(&bridge, &[]).await;
    assert_eq!(lines["cluster_permissions"].1, denied, "nothing else is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_old_servers() {
    let server = Nats::start().await;
    let broker = Mosquitto::with(Settings::default()).await;
    let bridge = one(&server, "", &broker).await;
    finds(&bridge, &[], "cluster_versions", "failed", "runs nats-server 2.9").await;
}
