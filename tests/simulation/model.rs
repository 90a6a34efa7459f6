//! Rules that must hold for every run: compared with the messages that the broker received and retains.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use crate::broker::Broker;
use crate::received::EventJson;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The rule.
    pub(crate) rule: &'static str,
    /// Description of the violation.
    pub(crate) seen: String,
}

/// An alarm that was answered with 200.
#[derive(Debug, Clone)]
struct Answered {
    /// The topic of its event.
    topic: String,
    /// Set if the answer said that it is on the disk.
    durable: bool,
    /// Finding without which it may not be missing; `None`: it may not be missing.
    excuse: Option<&'static str>,
}

/// Observable state of a run: answers, findings, and faults that lose data.
#[derive(Debug, Default)]
pub(crate) struct Model {
    answered: BTreeMap<Uuid, Answered>,
    /// Codes of all findings seen.
    findings: BTreeSet<String>,
    /// Answered since the folder was copied.
    since_backup: Vec<Uuid>,
    /// Answered since the power was there.
    since_start: Vec<Uuid>,
    /// Sources of cameras that were removed.
    pub(crate) removed: BTreeSet<String>,
    /// Set if the disk failed once: memory of that time, numbers included, may be lost.
    pub(crate) disk_broke: bool,
    /// Set if a copy replaced the folder while no broker had a mark that shows it.
    unnoticed: bool,
    /// Sources removed at any time: later alarms are of a new camera, and do not wait for the old one's.
    pub(crate) ever_removed: BTreeSet<String>,
}

/// Finding of a store that lost data.
const DATABASE: &str = "database";

impl Model {
    /// Records the answer to a report.
    pub(crate) fn answered(&mut self, alarms: Vec<(Uuid, String)>, durable: bool) {
        for (id, topic) in alarms {
            self.answered.insert(id, Answered { topic, durable, excuse: None });
            self.since_backup.push(id);
            self.since_start.push(id);
        }
    }

    /// Records a finding.
    pub(crate) fn found(&mut self, code: &str) {
        if !self.findings.contains(code) {
            self.findings.insert(code.to_owned());
        }
    }

    /// Records that the folder was copied.
    pub(crate) fn copied(&mut self) {
        self.since_backup.clear();
    }

    /// Records that the copy replaced the folder: later answers may be lost, which must be reported if a broker still
    /// has the mark that shows it.
    pub(crate) fn restored(&mut self, marked: bool) {
        self.unnoticed |= !marked;
        for id in std::mem::take(&mut self.since_backup) {
            self.excuse(id, DATABASE);
        }
    }

    /// Records that the database lost rows: answered alarms may be lost, which must be reported.
    pub(crate) fn damaged(&mut self) {
        let all: Vec<Uuid> = self.answered.keys().copied().collect();
        all.into_iter().for_each(|id| self.excuse(id, DATABASE));
    }

    /// Records the end of the process; alarms only in memory, and reported as such, are lost.
    pub(crate) fn ended(&mut self) {
        for id in std::mem::take(&mut self.since_start) {
            if self.answered.get(&id).is_some_and(|answered| !answered.durable) {
                self.excuse(id, "disk");
            }
        }
    }

    fn excuse(&mut self, id: Uuid, code: &'static str) {
        if let Some(answered) = self.answered.get_mut(&id) {
            answered.excuse.get_or_insert(code);
        }
    }

    /// Checks that all permitted messages arrived, while the broker refuses some topics.
    pub(crate) fn check_permitted(&self, broker: &Broker, parked: &HashSet<Uuid>) -> Result<(), Broken> {
        self.check_arrived(
            broker,
            parked,
            |topic| broker.refuses(topic).is_none(),
            "what is permitted arrives",
        )
    }

    /// Checks all rules once there are no more faults.
    pub(crate) fn check(&self, broker: &Broker, parked: &HashSet<Uuid>) -> Result<(), Broken> {
        self.check_arrived(broker, parked, |_| true, "every alarm answered 200 is delivered or parked")?;
        let events = events(broker)?;
        self.check_order(&events)?;
        check_activities(broker)?;
        self.check_retained(broker, &events)
    }

    fn check_arrived(
        &self,
        broker: &Broker,
        parked: &HashSet<Uuid>,
        expected: impl Fn(&str) -> bool,
        rule: &'static str,
    ) -> Result<(), Broken> {
        let arrived: HashSet<Uuid> = broker.received.events()?.map(|event| event.id).collect();
        for (id, answered) in self.answered.iter().filter(|(_, answered)| expected(&answered.topic)) {
            if arrived.contains(id) || parked.contains(id) {
                continue;
            }
            match answered.excuse {
                None => return Err(broken(rule, format!("{id} for {} is missing", answered.topic))),
                Some(code)
                    if !self.unnoticed && !self.findings.iter().any(|found| found.starts_with(code)) =>
                {
                    let seen = format!("{id} for {} is missing, and no finding says so", answered.topic);
                    return Err(broken("every loss has a finding", seen));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// One number for each alarm, and first arrivals in the order of the numbers.
    fn check_order(&self, events: &[Event]) -> Result<(), Broken> {
        let (mut of_number, mut seen) = (HashMap::new(), HashSet::new());
        let mut last: HashMap<&str, u64> = HashMap::new();
        if self.unnoticed {
            return Ok(());
        }
        for event in events.iter().filter(|event| seen.insert(event.id)) {
            if let Some(other) = of_number.insert((event.source.as_str(), event.seq), event.id)
                && !self.was_memory_only(&other)
            {
                let seen = format!("{} has {} twice: {other} and {}", event.source, event.seq, event.id);
                return Err(broken("`seq` rises", seen));
            }
            if self.was_memory_only(&event.id) {
                continue;
            }
            let before = last.insert(&event.source, event.seq).unwrap_or(0);
            if event.seq < before && !event.replayed && !self.ever_removed.contains(&event.source) {
                let seen = format!("{} after {before} at {}", event.seq, event.source);
                return Err(broken("a source's alarms arrive in order", seen));
            }
        }
        Ok(())
    }

    /// Returns whether only memory may have had an alarm, on a disk that accepted no write at all.
    fn was_memory_only(&self, id: &Uuid) -> bool {
        self.disk_broke && self.answered.get(id).is_none_or(|answered| !answered.durable)
    }

    fn check_retained(&self, broker: &Broker, events: &[Event]) -> Result<(), Broken> {
        let mut latest: BTreeMap<&str, &Event> = BTreeMap::new();
        for event in events.iter().filter(|event| !event.again && !self.was_memory_only(&event.id)) {
            let known = latest.entry(event.source.as_str()).or_insert(event);
            if known.seq < event.seq {
                *known = event;
            }
        }
        for (topic, payload) in &broker.retained {
            let levels: Vec<&str> = topic.split('/').collect();
            match levels.as_slice() {
                ["alarmbus", "bridge", "state"] => {
                    let online = payload == "online" || parse(payload).get("state") == Some(&"online".into());
                    if !online {
                        return Err(broken("the bridge is online", format!("{topic}: {payload:?}")));
                    }
                }
                ["alarmbus", source, "state", event] if *source != "bridge" && payload != "OFF" => {
                    let seen = format!("{source}/{event} is {payload:?} long after its hold");
                    return Err(broken("nothing stays ON", seen));
                }
                ["alarmbus", source, "last"] if !self.unnoticed => {
                    // The latest alarm itself may be parked.
                    let seq = parse(payload).get("seq").and_then(Value::as_u64).unwrap_or_default();
                    if let Some(expected) = latest.get(source).filter(|last| seq < last.seq) {
                        let seen =
                            format!("{topic} is {seq}, the latest alarm {} {}", expected.id, expected.seq);
                        return Err(broken("retained values are the latest", seen));
                    }
                }
                _ => {}
            }
        }
        let missing = |source: &&&str| !broker.retained.contains_key(&format!("alarmbus/{source}/last"));
        match latest.keys().find(|source| missing(source)) {
            Some(source) if !self.removed.contains(*source) => {
                Err(broken("retained values are there", format!("alarmbus/{source}/last")))
            }
            _ => Ok(()),
        }
    }
}

fn broken(rule: &'static str, seen: String) -> Broken {
    Broken { rule, seen }
}

fn parse(payload: &Bytes) -> Value {
    serde_json::from_slice(payload).unwrap_or_default()
}

/// An event as it was published.
#[derive(Debug)]
struct Event {
    id: Uuid,
    source: String,
    seq: u64,
    /// Set if it was published before, and says so.
    replayed: bool,
    /// Set if it was published before.
    again: bool,
}

fn events(broker: &Broker) -> Result<Vec<Event>, Broken> {
    let mut seen = HashSet::new();
    let event = |json: &EventJson| {
        let again = !seen.insert(json.id);
        let (source, replayed) = (json.source.clone(), json.replayed && again);
        Event { id: json.id, source, seq: json.seq, replayed, again }
    };
    Ok(broker.received.events()?.map(event).collect())
}

/// Each activity has one start.
fn check_activities(broker: &Broker) -> Result<(), Broken> {
    let mut phases: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for activity in broker.received.activities()? {
        if seen.insert(activity.id) {
            phases.entry(activity.activity_id).or_default().push(&activity.phase);
        }
    }
    match phases.iter().find(|(_, phases)| phases.iter().filter(|phase| **phase == "start").count() > 1) {
        Some((id, phases)) => Err(broken("an activity starts once", format!("{id}: {phases:?}"))),
        None => Ok(()),
    }
}
