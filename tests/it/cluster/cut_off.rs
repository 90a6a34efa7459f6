//! An owner that cannot reach the broker while another instance can.

use serde_json::Value;

use super::members::{Members, NAMES, PATIENCE};
use super::report;
use crate::support::mqtt_client::Received;
use crate::support::proxy::Mode;
use crate::support::{Bridge, eventually};

/// An instance, as another one sees it.
async fn member(bridge: &Bridge, name: &str) -> Option<Value> {
    let status = bridge.api("/cluster").await;
    status["members"].as_array()?.iter().find(|member| member["name"] == name).cloned()
}

/// Waits until an instance says which brokers it cannot reach.
async fn cut_off(bridge: &Bridge, name: &str, brokers: &[&str]) {
    let says = async || (member(bridge, name).await?["cut_off"] == serde_json::json!(brokers)).then_some(());
    eventually(PATIENCE, &format!("{name} cut off from {brokers:?}"), says).await;
}

/// The instance that owns the only partition.
async fn owner(bridge: &Bridge) -> Option<usize> {
    let status = bridge.api("/cluster").await;
    let owner = status["partitions"][0]["owner"].as_str()?;
    NAMES.iter().position(|name| *name == owner)
}

/// Pushes an alarm with a text of so many bytes.
async fn push(bridge: &Bridge, bytes: usize) {
    assert_eq!(bridge.camera().json(&report(1, bytes)).await.status, 200);
}

/// Waits for the event with a text. What was not acknowledged before a cut comes again.
async fn event(members: &mut Members, text: &str) {
    let is = |message: &Received| {
        message.topic.ends_with("/event/doorbell") && message.json()["extra"]["text"] == text
    };
    members.subscriber.wait_for(PATIENCE, is).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_without_broker_hands_over_to_an_instance_that_reaches_it() {
    // A lease that a busy machine does not lose.
    let mut members = Members::start("2.15.1", 2, "lease_seconds = 10", "").await;
    let both =
        async || (2 <= members.bridges[0].api("/cluster").await["members"].as_array()?.len()).then_some(());
    eventually(PATIENCE, "two instances", both).await;
    let first = eventually(PATIENCE, "an owner", async || owner(&members.bridges[0]).await).await;
    let other = 1 - first;
    push(&members.bridges[first], 1).await;
    event(&mut members, "x").await;

    // Nobody reaches it: the owner stays.
    members.broker_links.iter().for_each(|link| link.set(Mode::Refuse));
    push(&members.bridges[first], 2).await;
    cut_off(&members.bridges[other], NAMES[first], &["mqtt"]).await;
    cut_off(&members.bridges[first], NAMES[other], &["mqtt"]).await;
    members.bridges[other].finding("cluster_cut_off").await;
    assert_eq!(owner(&members.bridges[other]).await, Some(first));

    // One reaches it: it takes over, and nothing is missing.
    members.broker_links[other].set(Mode::Pass);
    event(&mut members, "xx").await;
    assert_eq!(owner(&members.bridges[other]).await, Some(other));
    members.bridges[first].finding("cluster_cut_off").await;

    // The former owner reaches it again, and leaves the partition to the other one.
    members.broker_links[first].set(Mode::Pass);
    cut_off(&members.bridges[other], NAMES[first], &[]).await;
    push(&members.bridges[first], 3).await;
    event(&mut members, "xxx").await;
    assert_eq!(owner(&members.bridges[other]).await, Some(other), "a partition changes its owner once");

    // If there is nobody else, it takes the partition that it gave up.
    members.bridges[other].kill();
    push(&members.bridges[first], 4).await;
    event(&mut members, "xxxx").await;
}
