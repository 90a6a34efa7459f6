//! A past time of a household: when something passed its cameras.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::random::Random;

/// Name of a camera, and what passes it, with weights.
type Post = (&'static str, &'static [(&'static str, u64)]);

/// The cameras; further ones repeat them with a number behind the name.
const POSTS: [Post; 4] = [
    ("Front door", &[("person", 6), ("doorbell", 2), ("loitering", 1)]),
    ("Back garden", &[("pet", 5), ("motion", 3), ("person", 1)]),
    ("Driveway", &[("vehicle", 6), ("person", 2), ("line_crossing", 1)]),
    ("Garage", &[("vehicle", 2), ("person", 2), ("intrusion", 1)]),
];
/// Visits to a camera in ten hours, by hour of the day: most in the morning and in the evening.
const VISITS: [u32; 24] =
    [2, 1, 1, 1, 2, 5, 14, 30, 24, 10, 9, 10, 14, 11, 10, 12, 18, 30, 32, 20, 14, 9, 6, 3];
/// Maximum number of reports of a visit.
const REPORTS: u64 = 4;

/// A report of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastReport {
    /// Time of the report.
    pub at: Timestamp,
    /// Number of the device.
    pub device: usize,
    /// Kind of its alarm.
    pub event: &'static str,
    /// Number of the report within its visit, and of its picture.
    pub step: u32,
    /// Set for a report with a picture: the first one of a visit.
    pub picture: bool,
}

/// Name of the device with a number.
#[must_use]
pub fn name(device: usize) -> String {
    let (name, _) = post(device);
    match device / POSTS.len() {
        0 => name.to_owned(),
        round => format!("{name} {}", round + 1),
    }
}

/// All reports of a time before `now`, oldest first. The same seed gives the same visits.
#[must_use]
pub fn reports(
    length: SignedDuration,
    now: Timestamp,
    zone: &TimeZone,
    devices: usize,
    seed: u64,
) -> Vec<PastReport> {
    let mut random = Random::new(seed);
    let mut all = Vec::new();
    for minutes in (1..=length.as_mins()).rev() {
        let Ok(minute) = now.checked_sub(SignedDuration::from_mins(minutes)) else { continue };
        let hour = usize::try_from(minute.to_zoned(zone.clone()).hour()).unwrap_or(0);
        let share = f64::from(VISITS.get(hour).copied().unwrap_or(0)) / 600.0;
        for device in 0..devices {
            if random.unit() < share {
                visit(&mut all, &mut random, (minute, device));
            }
        }
    }
    all.retain(|report| report.at < now);
    all.sort_by_key(|report| report.at);
    all
}

/// Adds the reports of one visit.
fn visit(all: &mut Vec<PastReport>, random: &mut Random, (minute, device): (Timestamp, usize)) {
    let (_, kinds) = post(device);
    let mut chance = random.bits() % kinds.iter().map(|(_, weight)| weight).sum::<u64>();
    let chosen = kinds.iter().find(|(_, weight)| {
        let found = chance < *weight;
        chance = chance.saturating_sub(*weight);
        found
    });
    let Some((event, _)) = chosen else { return };
    let count = if *event == "doorbell" { 1 } else { 1 + random.bits() % REPORTS };
    let first = u32::try_from(random.bits() % 6).unwrap_or(0);
    let mut after = Duration::from_secs(random.bits() % 60);
    for number in 0..u32::try_from(count).unwrap_or(1) {
        let Ok(at) = minute.checked_add(after) else { return };
        all.push(PastReport { at, device, event, step: first + number, picture: number == 0 });
        after += random.pause();
    }
}

/// The camera with a number.
fn post(device: usize) -> Post {
    POSTS.get(device % POSTS.len()).copied().unwrap_or(("Camera", &[("motion", 1)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_busy_hours_and_quiet_ones_and_repeats() {
        let now: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let day = || reports(SignedDuration::from_hours(24), now, &TimeZone::UTC, 4, 7);
        let all = day();
        assert_eq!(all, day());
        assert!((100..2_000).contains(&all.len()), "{}", all.len());
        assert!(all.is_sorted_by_key(|report| report.at) && all.iter().all(|report| report.at < now));
        let within = |hours: std::ops::Range<i8>| {
            all.iter().filter(|report| hours.contains(&report.at.to_zoned(TimeZone::UTC).hour())).count()
        };
        assert!(3 * within(1..5) < within(17..20), "{} at night", within(1..5));
        assert!((0..4).all(|device| all.iter().any(|report| report.device == device)));
    }

    #[test]
    fn every_camera_has_a_name_of_its_own() {
        assert_eq!(
            [name(0), name(3), name(4), name(9)],
            ["Front door", "Garage", "Front door 2", "Back garden 3"]
        );
    }
}
