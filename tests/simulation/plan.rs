//! Plan of a run: a list of steps, made from a seed, or read from the history of a failure.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Cameras of a run.
pub(crate) const DEVICES: u8 = 3;
/// Kinds that a camera can report, one bit each.
pub(crate) const KINDS: [(&str, &str); 4] =
    [("motion", "MOTION"), ("person", "PEOPLE"), ("vehicle", "VEHICLE"), ("doorbell", "DOORBELL")];

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Sends reports of a camera at once; `kinds` is a set of bits, `picture`: with one.
    Alarms { device: u8, kinds: u8, picture: bool, reports: u8 },
    /// Time passes, in milliseconds.
    Wait(u32),
    /// Makes the broker unreachable.
    BrokerDown,
    /// Makes the broker reachable again.
    BrokerUp,
    /// Sets the time the broker takes for each message, in milliseconds.
    Slow(u32),
    /// Makes the broker answer this number of messages with "not now".
    Busy(u8),
    /// Makes the broker refuse a topic.
    Forbid(Topic, Manner),
    /// Makes the broker refuse nothing any more.
    Permit,
    /// Makes the broker cut the connection after this number of messages.
    CutAt(u8, Cut),
    /// Makes the broker forget its retained messages.
    Forget,
    /// Another client with the same id connects.
    TakenOver,
    /// Makes writes of the disk fail with this error; 0: they succeed again.
    Disk(i32),
    /// The power fails; what was not synced is lost as the seed decides.
    Crash(u64),
    /// Fails the power at a later operation of the disk.
    CrashAt(u16, u64),
    /// The bridge is stopped in good order, and started again.
    Restart,
    /// Stops the bridge, copies its folder, and starts it again.
    Backup,
    /// Fails the power, and replaces the folder by the copy.
    Restore,
    /// Fails the power, and deletes the log of the database.
    DropWal,
    /// Fails the power, and empties the database file.
    Empty,
    /// Fails the power, and changes some bytes of the database.
    Damage(u64),
    /// A user sets a camera's states to OFF.
    Clear(u8),
    /// A user removes a camera.
    Remove(u8),
    /// A user names a camera.
    Rename(u8),
}

/// A topic that a broker can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Topic {
    /// Events of one kind, by its place in [`KINDS`].
    Event(u8),
    /// All activities.
    Activity,
    /// Current values of one sort: the level of the topic.
    Last,
    State,
    Snapshot,
    SnapshotInfo,
    Device,
    /// Announcements for Home Assistant.
    Discovery,
    /// The bridge's own topics.
    Bridge,
}

/// Manner in which a broker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manner {
    /// Refuses with a reason; the connection stays.
    Refuse,
    /// Refuses with a reason, then cuts the connection.
    RefuseThenCut,
    /// Cuts the connection.
    Cut,
}

/// Treatment of a message before the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cut {
    /// The broker accepts the message and acknowledges it.
    Acknowledged,
    /// The broker accepts the message, and the acknowledgement is lost.
    Taken,
    /// The broker never receives the message.
    Lost,
}

/// The steps of a seed.
pub(crate) fn steps(seed: u64) -> Vec<Step> {
    let mut random = Random::new(seed);
    let count = 6 + random.below(26);
    // A run has few types of faults, so that each also has long stretches without the others.
    let sorts: Vec<u64> = (0..1 + random.below(3)).map(|_| random.below(SORTS)).collect();
    let mut steps = Vec::new();
    while (steps.len() as u64) < count {
        match random.below(10) {
            0..=4 => steps.push(alarms(&mut random)),
            5 | 6 => steps.push(Step::Wait(wait(&mut random))),
            _ => fault(random.pick(&sorts), &mut random, &mut steps),
        }
    }
    steps
}

fn alarms(random: &mut Random) -> Step {
    let kinds = match random.below(4) {
        0 => 1 + random.below(15),
        _ => 1 << random.below(4),
    };
    let kinds = u8::try_from(kinds).expect("four bits");
    let device = u8::try_from(random.below(DEVICES.into())).expect("few");
    let reports = if random.percent(20) { 2 + random.below(8) } else { 1 };
    Step::Alarms { device, kinds, picture: random.percent(30), reports: u8::try_from(reports).expect("few") }
}

fn wait(random: &mut Random) -> u32 {
    let (least, spread) = random.pick(&[(1, 20), (20, 400), (400, 2_000), (2_000, 6_000), (6_000, 30_000)]);
    least + u32::try_from(random.below(spread)).expect("small")
}

/// Sorts of faults.
const SORTS: u64 = 10;

fn fault(sort: u64, random: &mut Random, steps: &mut Vec<Step>) {
    let device = u8::try_from(random.below(DEVICES.into())).expect("few");
    match sort {
        0 => steps.push(if random.percent(50) { Step::BrokerDown } else { Step::BrokerUp }),
        1 => steps.push(Step::Slow(random.pick(&[0, 0, 30, 300, 2_000]))),
        2 => {
            steps.push(if random.percent(75) { forbid(random) } else { Step::Permit });
            // Two causes at once are harder to distinguish than one after the other.
            if random.percent(30) {
                steps.push(forbid(random));
            }
        }
        3 => {
            let cut = random.pick(&[Cut::Acknowledged, Cut::Taken, Cut::Lost]);
            steps.push(Step::CutAt(u8::try_from(random.below(12)).expect("few"), cut));
        }
        4 => steps.push(if random.percent(60) { Step::Forget } else { Step::TakenOver }),
        5 => steps.push(Step::Disk(random.pick(&[0, 0, crate::disk::ENOSPC, crate::disk::EIO]))),
        6 => steps.push(match random.below(4) {
            0 => Step::Restart,
            1 => Step::Crash(random.next()),
            _ => Step::CrashAt(u16::try_from(random.below(60)).expect("few"), random.next()),
        }),
        7 => steps.push(match random.below(6) {
            0 | 1 => Step::Backup,
            2 => Step::Restore,
            3 => Step::DropWal,
            4 => Step::Empty,
            _ => Step::Damage(random.next()),
        }),
        8 => steps.push(Step::Busy(u8::try_from(1 + random.below(12)).expect("few"))),
        _ => steps.push(match random.below(3) {
            0 => Step::Clear(device),
            1 => Step::Remove(device),
            _ => Step::Rename(device),
        }),
    }
}

fn forbid(random: &mut Random) -> Step {
    let kind = u8::try_from(random.below(KINDS.len() as u64)).expect("few");
    let topic = random.pick(&[
        Topic::Event(kind),
        Topic::Event(kind),
        Topic::Activity,
        Topic::Last,
        Topic::State,
        Topic::Snapshot,
        Topic::SnapshotInfo,
        Topic::Device,
        Topic::Discovery,
        Topic::Bridge,
    ]);
    Step::Forbid(topic, random.pick(&[Manner::Refuse, Manner::RefuseThenCut, Manner::Cut]))
}
