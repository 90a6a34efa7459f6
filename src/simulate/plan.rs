//! Schedule of the reports and their formats.

use std::time::Duration;

use super::random::Random;
use super::request::Format;

/// Timing of the alarms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A person walks past each device, which reports every 1 to 7 s.
    Visit {
        /// Requests of each device.
        count: u32,
    },
    /// All devices in turn, at an even rate.
    Load {
        /// Requests per second of all devices together; 0: as fast as answers come.
        rate: f64,
        /// Duration.
        duration: Duration,
        /// Maximum number of requests.
        count: Option<u32>,
    },
}

/// An alarm that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Time since the start.
    pub at: Duration,
    /// Number of the device.
    pub device: usize,
    /// Number of the alarm within the device's activity.
    pub step: u32,
    /// Format of the request.
    pub format: Format,
    /// Set if it has a picture.
    pub picture: bool,
}

/// Input of the schedule.
#[derive(Debug, Clone)]
pub struct PlanInput {
    /// Timing of the alarms.
    pub pace: Pace,
    /// Number of devices; at least one.
    pub devices: usize,
    /// Formats, in turn; at least one.
    pub formats: Vec<Format>,
    /// Share of alarms with a picture, 0 to 1, among formats that have one.
    pub pictures: f64,
    /// Seed; the same one gives the same schedule.
    pub seed: u64,
}

/// All alarms in the order they are due.
pub fn plan(order: PlanInput) -> Box<dyn Iterator<Item = Due> + Send> {
    let mut random = Random::new(order.seed);
    match order.pace {
        Pace::Visit { count } => Box::new(visits(&order, count, &mut random).into_iter()),
        Pace::Load { rate, duration, count } => {
            let numbers = 0..count.unwrap_or(u32::MAX);
            let at = move |number| if rate > 0.0 { f64::from(number) / rate } else { 0.0 };
            let within = move |number: &u32| at(*number) < duration.as_secs_f64();
            let due = move |number| {
                let place = usize::try_from(number).unwrap_or(0);
                let (device, step) = (place % order.devices, place / order.devices);
                let step = u32::try_from(step).unwrap_or(0);
                order.due(Duration::from_secs_f64(at(number)), device, step, number, &mut random)
            };
            Box::new(numbers.take_while(within).map(due))
        }
    }
}

/// The visits of all devices, at the same time.
fn visits(order: &PlanInput, count: u32, random: &mut Random) -> Vec<Due> {
    let mut all = Vec::new();
    for device in 0..order.devices {
        let mut at = Duration::ZERO;
        for step in 0..count {
            all.push(order.due(at, device, step, step, random));
            at += random.pause();
        }
    }
    all.sort_by_key(|due| due.at);
    all
}

impl PlanInput {
    /// One alarm; `number` selects its format.
    fn due(&self, at: Duration, device: usize, step: u32, number: u32, random: &mut Random) -> Due {
        let number = usize::try_from(number).unwrap_or(0);
        let format = self.formats.iter().cycle().nth(number % self.formats.len().max(1)).copied();
        let format = format.unwrap_or(Format::Legacy);
        let picture = format.takes_picture() && random.unit() < self.pictures;
        Due { at, device, step, format, picture }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pace, PlanInput, plan};
    use crate::simulate::request::Format;

    fn order(pace: Pace, devices: usize, pictures: f64) -> PlanInput {
        PlanInput { pace, devices, formats: vec![Format::Multipart, Format::Enhanced], pictures, seed: 1 }
    }

    #[test]
    fn a_visit_repeats_in_order_and_with_pauses() {
        let all: Vec<_> = plan(order(Pace::Visit { count: 5 }, 2, 1.0)).collect();
        assert_eq!(all.len(), 10);
        assert!(all.is_sorted_by_key(|due| due.at));
        let one: Vec<_> = all.iter().filter(|due| due.device == 1).collect();
        assert!(one.windows(2).all(|two| two[1].at - two[0].at >= Duration::from_secs(1)));
        assert!(one.iter().all(|due| due.picture == (due.format == Format::Multipart)));
    }

    #[test]
    fn load_keeps_its_rate_and_its_share_of_pictures() {
        let duration = Duration::from_secs(10);
        let pace = Pace::Load { rate: 100.0, duration, count: None };
        let all: Vec<_> = plan(order(pace, 7, 0.5)).collect();
        assert_eq!(all.len(), 1_000);
        assert_eq!((all[8].device, all[8].step), (1, 1));
        let pictures = all.iter().filter(|due| due.picture).count();
        assert!((180..320).contains(&pictures), "{pictures} of 500");
        let pace = Pace::Load { rate: 0.0, duration, count: Some(3) };
        assert_eq!(plan(order(pace, 1, 0.0)).filter(|due| due.at.is_zero()).count(), 3);
    }
}
