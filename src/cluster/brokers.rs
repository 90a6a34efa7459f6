//! Brokers that an owner cannot reach: after a while it gives its lease to an instance that can.
//!
//! 1. An owner whose relay has had no connection to a broker for [`CUT_OFF_AFTER`] says so in its member record.
//! 2. While it says so, the other instances test the broker as `alarmbus check` does, and say in theirs what they reach.
//! 3. The owner gives its lease away if another one reaches all that it reaches itself, and more.
//! 4. It goes on testing. Until a test succeeds, and for some leases at least, it leaves the partition to others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Member;
use super::members::Presence;
use super::survey::Shared;
use crate::findings::FindingCode;

/// Time without a connection after which an owner is cut off from a broker.
const CUT_OFF_AFTER: Duration = Duration::from_secs(30);
/// Interval at which the connections are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two tests.
const TEST_INTERVAL: Duration = Duration::from_secs(5);

/// Connections of this instance to the brokers that it publishes to.
pub trait Brokers: fmt::Debug + Send + Sync {
    /// The brokers of a partition whose relays run here, each with whether it is connected.
    fn connected(&self, k: u64) -> Vec<(&'static str, bool)>;

    /// Paths of the webhooks.
    fn webhooks(&self) -> Vec<String>;

    /// Connects to each broker as `alarmbus check` does. Returns the reason where that fails.
    fn test(&self) -> BoxFuture<'_, Vec<(&'static str, Result<(), String>)>>;
}

/// Brokers that this instance reaches, and those that it does not reach.
#[derive(Debug, Default)]
pub(super) struct BrokerReach {
    brokers: OnceLock<Arc<dyn Brokers>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Time since which an owned partition has no connection to a broker.
    down: BTreeMap<(u64, &'static str), Instant>,
    /// Brokers that the latest test reached, while another owner is cut off.
    reached: BTreeSet<String>,
    /// Brokers that the latest test did not reach, or for which a lease was given away since, with the reason.
    failed: BTreeMap<String, String>,
}

impl BrokerReach {
    /// Sets the connections, once there are any.
    pub(super) fn set(&self, brokers: Arc<dyn Brokers>) {
        drop(self.brokers.set(brokers));
    }

    /// Hash of the webhooks with the key that all instances share; empty until there are any.
    pub(super) fn webhooks(&self, key: &str) -> String {
        let Some(brokers) = self.brokers.get() else { return String::new() };
        let mut paths = brokers.webhooks();
        paths.sort();
        super::short_hash(&format!("{key}\n{}", paths.join("\n")))
    }

    /// Brokers that this instance cannot reach: as an owner, or by its latest test.
    pub(super) fn cut_off(&self) -> BTreeSet<String> {
        let state = self.state.lock();
        let down = state.down.iter().filter(|(_, since)| CUT_OFF_AFTER <= since.elapsed());
        down.map(|((_, name), _)| (*name).to_owned()).chain(state.failed.keys().cloned()).collect()
    }

    /// Brokers that its latest test reached, while another owner is cut off.
    pub(super) fn reached(&self) -> BTreeSet<String> {
        self.state.lock().reached.clone()
    }

    /// Returns whether its latest test failed.
    pub(super) fn has_failed(&self) -> bool {
        !self.state.lock().failed.is_empty()
    }

    /// Notes the connections of a partition. Returns the brokers that it is cut off from, and those it is connected to.
    fn observe(&self, k: u64, connected: &[(&'static str, bool)]) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut state = self.state.lock();
        state.down.retain(|(of, name), _| *of != k || connected.contains(&(*name, false)));
        let (mut cut_off, mut up) = (BTreeSet::new(), BTreeSet::new());
        for (name, is) in connected {
            if *is {
                up.insert((*name).to_owned());
                continue;
            }
            let since = *state.down.entry((k, name)).or_insert_with(Instant::now);
            if CUT_OFF_AFTER <= since.elapsed() {
                cut_off.insert((*name).to_owned());
            }
        }
        (cut_off, up)
    }

    /// Notes that a lease is given away because of these brokers.
    fn given_up(&self, k: u64, cut_off: BTreeSet<String>) {
        let mut state = self.state.lock();
        state.down.retain(|(of, _), _| *of != k);
        let reason = format!("no connection for {} s", CUT_OFF_AFTER.as_secs());
        state.failed.extend(cut_off.into_iter().map(|name| (name, reason.clone())));
    }

    /// Notes the result of a test.
    fn tested(&self, results: Vec<(&'static str, Result<(), String>)>) {
        let mut state = self.state.lock();
        (state.reached, state.failed) = Default::default();
        for (name, result) in results {
            match result {
                Ok(()) => drop(state.reached.insert(name.to_owned())),
                Err(reason) => drop(state.failed.insert(name.to_owned(), reason)),
            }
        }
    }
}

/// Returns whether an instance reaches all brokers that an owner is connected to, and one that it is cut off from.
fn reaches_more(other: &Presence, cut_off: &BTreeSet<String>, connected: &BTreeSet<String>) -> bool {
    let more = !cut_off.is_disjoint(&other.reaches);
    other.caught_up && more && connected.is_subset(&other.reaches)
}

/// Watches the connections of what this instance owns, and tests the brokers while another owner is cut off.
pub(super) async fn watch(member: &Member, shared: &Shared) {
    tokio::join!(observe(member, shared), test(member, shared));
}

/// Gives away the lease of a partition that is cut off from a broker which another instance reaches.
async fn observe(member: &Member, shared: &Shared) {
    let (reach, leases) = (&shared.reach, &shared.leases);
    loop {
        leases.pause(CHECK_INTERVAL).await;
        if leases.leaving() {
            return std::future::pending().await;
        }
        let Some(brokers) = reach.brokers.get() else { continue };
        for (k, lease) in leases.each() {
            let links = if lease.is_valid() { brokers.connected(k) } else { Vec::new() };
            if !links.is_empty() && links.iter().all(|(_, connected)| *connected) {
                lease.publishes();
            }
            let (cut_off, connected) = reach.observe(k, &links);
            if cut_off.is_empty() {
                continue;
            }
            let live = shared.members.live(leases.period());
            let mut others = live.iter().filter(|(name, _)| **name != member.name);
            if let Some((other, _)) = others.find(|(_, of)| reaches_more(of, &cut_off, &connected)) {
                let names: Vec<&str> = cut_off.iter().map(String::as_str).collect();
                tracing::warn!(
                    "partition {k} is given away: {} has had no connection for {} s, and {other} reaches it",
                    names.join(", "),
                    CUT_OFF_AFTER.as_secs()
                );
                reach.given_up(k, cut_off);
                lease.give_up(leases.period());
            }
        }
    }
}

/// Tests the brokers while another owner is cut off, and until a failed test has succeeded.
async fn test(member: &Member, shared: &Shared) {
    let (reach, leases) = (&shared.reach, &shared.leases);
    loop {
        let live = shared.members.live(leases.period());
        let is_cut_off = |of: &Presence| !of.owned.is_empty() && !of.cut_off.is_empty();
        let trouble = live.iter().any(|(name, of)| *name != member.name && is_cut_off(of));
        let failed = reach.has_failed();
        if let Some(brokers) = reach.brokers.get().filter(|_| trouble || failed) {
            reach.tested(brokers.test().await);
            report(member, reach);
        }
        if !trouble {
            reach.state.lock().reached.clear();
        }
        leases.pause(if trouble || failed { TEST_INTERVAL } else { CHECK_INTERVAL }).await;
        if leases.leaving() {
            return std::future::pending().await;
        }
    }
}

/// Raises a finding while tests fail.
fn report(member: &Member, reach: &BrokerReach) {
    let subject = &member.config.prefix;
    let failed: Vec<String> = {
        let state = reach.state.lock();
        state.failed.iter().map(|(name, reason)| format!("{name}: {reason}")).collect()
    };
    if failed.is_empty() {
        member.findings.settle(FindingCode::ClusterCutOff, subject);
    } else {
        let detail = format!("from {}: {}", member.name, failed.join("; "));
        member.findings.raise(FindingCode::ClusterCutOff, subject, &detail);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{BrokerReach, CUT_OFF_AFTER, reaches_more};
    use crate::cluster::members::Presence;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_is_cut_off_after_a_time_without_any_connection() {
        let reach = BrokerReach::default();
        let observe = |connected| reach.observe(0, &[("mqtt", connected), ("nats", true)]);
        assert_eq!(observe(false), (set(&[]), set(&["nats"])));
        tokio::time::advance(CUT_OFF_AFTER / 2).await;
        assert_eq!(observe(true), (set(&[]), set(&["mqtt", "nats"])), "a connection begins the time anew");
        observe(false);
        tokio::time::advance(CUT_OFF_AFTER * 2 / 3).await;
        assert_eq!((observe(false).0, reach.cut_off()), (set(&[]), set(&[])));
        tokio::time::advance(CUT_OFF_AFTER / 2).await;
        assert_eq!((observe(false).0, reach.cut_off()), (set(&["mqtt"]), set(&["mqtt"])));
        reach.observe(0, &[]);
        assert_eq!(reach.cut_off(), set(&[]), "what it does not own does not count");
        reach.given_up(0, set(&["mqtt"]));
        assert_eq!((reach.cut_off(), reach.has_failed()), (set(&["mqtt"]), true));
        reach.tested(vec![("mqtt", Ok(()))]);
        assert_eq!((reach.cut_off(), reach.reached()), (set(&[]), set(&["mqtt"])));
    }

    #[test]
    fn a_lease_goes_to_who_reaches_more_and_loses_nothing() {
        let other = |reaches: &[&str], caught_up| Presence {
            reaches: set(reaches),
            caught_up,
            ..Presence::default()
        };
        let more = |other: &Presence| reaches_more(other, &set(&["mqtt"]), &set(&["nats"]));
        assert!(more(&other(&["mqtt", "nats"], true)));
        assert!(!more(&other(&["mqtt", "nats"], false)), "it has not read all decisions");
        assert!(!more(&other(&["mqtt"], true)), "the other broker would be lost");
        assert!(!more(&other(&["nats"], true)));
    }
}
