//! The end of a lease, handovers, and reports that stay in their stream for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::Value;
use tokio::time::Instant;

use super::members::{LEASE, Members, NAMES, PATIENCE};
use super::{alone, report};
use crate::support::mqtt_client::Received;
use crate::support::proxy::Mode;
use crate::support::{Bridge, eventually};

/// Returns whether an instance is connected to the broker.
async fn is_connected(bridge: &Bridge) -> bool {
    bridge.api("/sinks").await["sinks"][0]["connected"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whose_lease_ends_leaves_the_broker_until_it_has_one_again() {
    let members = Members::start("2.15.1", 1, "", "").await;
    let (bridge, links) = (&members.bridges[0], &members.links[0]);
    let publishes = async || is_connected(bridge).await.then_some(());
    eventually(PATIENCE, "an owner that publishes", publishes).await;
    links.iter().for_each(|link| link.set(Mode::Freeze));
    let silent = async || (!is_connected(bridge).await).then_some(());
    eventually(Duration::from_secs(3 * LEASE), "no connection to the broker", silent).await;
    links.iter().for_each(|link| link.set(Mode::Pass));
    eventually(PATIENCE, "an owner that publishes again", publishes).await;
}

/// Pushes that are still to be in the stream of reports: those of the last minute.
const STAYS: Duration = Duration::from_secs(55);

#[tokio::test(flavor = "multi_thread")]
async fn reports_stay_in_their_stream_for_a_minute_after_their_decision() {
    let (server, _broker, mut subscriber, bridge) = alone().await;
    let jetstream = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let first_sequence = async || {
        let mut input = jetstream.get_stream("ALARMBUS_IN").await.ok()?;
        Some(input.info().await.ok()?.state.first_sequence)
    };
    // Each report is one message, so its number is its sequence.
    let mut decided: Vec<Instant> = Vec::new();
    let (begun, mut first) = (Instant::now(), 1);
    while first == 1 {
        assert!(begun.elapsed() < Duration::from_secs(180), "reports are never deleted");
        assert_eq!(bridge.camera().json(&report(1, 1)).await.status, 200);
        subscriber.wait_for(PATIENCE, |message| message.topic.ends_with("/doorbell")).await;
        decided.push(Instant::now());
        first = eventually(PATIENCE, "the stream of reports", first_sequence).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let gone = usize::try_from(first - 1).unwrap();
    let youngest = decided[gone.min(decided.len()) - 1].elapsed();
    assert!(STAYS < youngest, "a report is deleted {youngest:?} after its decision");
}

/// Waits until there are two instances that have read all decisions; returns the owner.
async fn ready(members: &Members) -> usize {
    eventually(PATIENCE, "two instances, and an owner that publishes", async || {
        let status = members.bridges[0].api("/cluster").await;
        let all = status["members"].as_array()?;
        let able = all.iter().filter(|member| member["caught_up"] == true).count();
        let owner = status["partitions"][0]["owner"].as_str()?;
        let owner = NAMES.iter().position(|name| *name == owner)?;
        (able == 2 && is_connected(&members.bridges[owner]).await).then_some(owner)
    })
    .await
}

/// Adds the alarms that arrived to the number of times that each did, until the last one is there.
async fn until(members: &mut Members, text: &str, times: &mut BTreeMap<String, u32>) {
    let mut found = false;
    while !found {
        let is_event = |message: &Received| message.topic.ends_with("/event/doorbell");
        let event: Value = members.subscriber.wait_for(PATIENCE, is_event).await.json();
        found = event["extra"]["text"] == text;
        *times.entry(event["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
}

/// The next owner knows what the former one published, also what it published just before it stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_begins_where_the_one_of_the_former_owner_ended() {
    // A lease that a busy machine does not lose.
    let mut members = Members::start("2.15.1", 2, "lease_seconds = 15", "").await;
    let mut times = BTreeMap::new();
    for round in 1..=6 {
        let owner = ready(&members).await;
        let other = 1 - owner;
        assert_eq!(members.bridges[owner].camera().json(&report(20, 2 * round)).await.status, 200);
        eventually(PATIENCE, "all acknowledged", async || {
            let sink = members.bridges[owner].api("/sinks").await["sinks"][0].clone();
            let published = members.bridges[owner].api("/alarms?limit=1").await;
            let latest = published["alarms"][0]["alarm"]["extra"]["text"].as_str()?.len();
            (latest == 2 * round && sink["backlog"] == 0).then_some(())
        })
        .await;
        members.bridges[owner].terminate().await;
        assert_eq!(members.bridges[other].camera().json(&report(1, 2 * round + 1)).await.status, 200);
        until(&mut members, &"x".repeat(2 * round + 1), &mut times).await;
        members.bridges[owner].restart().await;
    }
    let again: Vec<_> = times.iter().filter(|(_, times)| 1 < **times).collect();
    assert_eq!(times.len(), 6 * 21);
    assert!(again.is_empty(), "published again: {again:?}");
}
