//! Instances, servers and links die, hang or are cut at random: each alarm is decided and published once, in order.

use std::time::Duration;

use rustix::process::Signal;

use super::members::{Arrived, LEASE, Members, PATIENCE, Push};
use crate::support::eventually;
use crate::support::load::long;
use crate::support::proxy::Mode;

/// Longer than a lease.
const BEYOND: Duration = Duration::from_secs(LEASE + 3);

/// Fault of a round, and the process it is for.
async fn round(number: usize, members: &mut Members, load: &Push) {
    let victim = number % members.bridges.len();
    let server = number % members.servers.len();
    match number % 7 {
        0 => {
            members.bridges[victim].kill();
            tokio::time::sleep(BEYOND).await;
            members.bridges[victim].restart().await;
            load.aim(members);
        }
        1 | 5 => {
            members.bridges[victim].signal(Signal::STOP);
            tokio::time::sleep(BEYOND).await;
            members.bridges[victim].signal(Signal::CONT);
        }
        2 => {
            members.links[victim].iter().for_each(|link| link.set(Mode::Freeze));
            tokio::time::sleep(BEYOND).await;
            members.links[victim].iter().for_each(|link| link.set(Mode::Pass));
        }
        3 => {
            members.servers[server].kill();
            tokio::time::sleep(Duration::from_secs(LEASE)).await;
            members.servers[server].restart().await;
        }
        4 => {
            members.broker_links.iter().for_each(|link| link.set(Mode::Refuse));
            tokio::time::sleep(Duration::from_secs(LEASE)).await;
            members.broker_links.iter().for_each(|link| link.set(Mode::Pass));
        }
        _ => {
            // A power cut.
            members.servers.iter_mut().for_each(|server| server.kill());
            let restarts = members.servers.iter_mut().map(|server| server.restart());
            futures_util::future::join_all(restarts).await;
            tokio::time::sleep(Duration::from_secs(LEASE)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn survives(version: &str, rounds: usize, cluster: &str) {
    let mut members = Members::start(version, 3, cluster, "").await;
    let load = Push::start(&members);
    let mut arrived = Arrived::default();
    eventually(PATIENCE, "the first alarms", async || {
        arrived.take(&mut members.subscriber);
        (10 < arrived.alarms.len()).then_some(())
    })
    .await;
    for number in 0..rounds {
        let before = arrived.alarms.len();
        round(number, &mut members, &load).await;
        arrived.take(&mut members.subscriber);
        println!("round {number}: {} more", arrived.alarms.len() - before);
    }
    let answered = load.stop().await;
    for _ in 0..PATIENCE.as_secs() {
        arrived.take(&mut members.subscriber);
        if arrived.complete(&answered) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    arrived.take(&mut members.subscriber);
    println!("{} answered, {} arrived, offline {}", answered.len(), arrived.alarms.len(), arrived.offline);
    if !arrived.complete(&answered) {
        members.bridges.iter().for_each(|bridge| println!("---\n{}", bridge.log()));
    }
    arrived.check(&answered);
    assert!(10 * rounds < answered.len(), "only {} alarms were answered", answered.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_for_each_alarm_though_instances_and_servers_die() {
    survives("2.15.1", if long() { 200 } else { 10 }, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_for_each_alarm_on_the_oldest_servers_that_are_supported() {
    survives("2.11.11", if long() { 50 } else { 3 }, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_for_each_alarm_of_several_partitions() {
    survives("2.15.1", if long() { 50 } else { 5 }, "partitions = 4\nstreams = 2").await;
}
