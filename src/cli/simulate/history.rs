//! `simulate --history`: the alarms of a time that is over, in a new storage folder.
//!
//! Each report is decoded and stored as a bridge does it, with the time of its receipt in the past. Nothing is
//! published: sinks begin at the end of the log.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Refusal, SimulateArgs, UNAVAILABLE, USAGE, refuse};
use crate::config::Config;
use crate::decode::recorded;
use crate::findings::Findings;
use crate::model::request_id;
use crate::outbox::settings::WriterSettings;
use crate::outbox::{Outbox, Submission};
use crate::simulate::device::{SimulatedDevice, Wishes, fleet};
use crate::simulate::event::SimulatedKind;
use crate::simulate::past::{PastReport, name, reports};
use crate::simulate::picture::scene::{FigureKind, Scene};
use crate::simulate::picture::{self, Size};
use crate::simulate::request::{Format, Push, build};
use crate::simulate::target::Target;

/// Longest history: a month; each day of a camera has some megabytes of pictures.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);
/// The webhook of the stored reports.
const WEBHOOK: &str = "default";

/// Source of the reports: devices, their clock, and pictures.
struct Household {
    devices: Vec<SimulatedDevice>,
    zone: TimeZone,
    size: Size,
    seed: u64,
    target: Target,
}

/// Fills the storage folder; returns the summary and the exit code.
pub(super) async fn fill(
    args: &SimulateArgs,
    length: SignedDuration,
    config: &Config,
) -> Result<(String, u8), Refusal> {
    let folder = config.storage.path.display().to_string();
    let usage = |reason: String| Refusal { code: USAGE, reason };
    if config.cluster.is_on() {
        return Err(usage(
            "a history is of one instance alone: remove [cluster], or give another file with --config".into(),
        ));
    }
    let there = config.storage.path.join("outbox.db").try_exists();
    if there.map_err(|error| refuse(UNAVAILABLE, &folder, &error))? {
        return Err(usage(format!(
            "{folder} has alarms already, and a history is written to a new storage folder only: name another one with --storage"
        )));
    }
    let household = Household::new(args)?;
    let settings = Arc::new(WriterSettings::new(config));
    let outbox = Outbox::open(settings, Findings::default(), &[])
        .map_err(|error| refuse(UNAVAILABLE, &folder, &error))?;
    let (now, start) = (Timestamp::now(), Instant::now());
    let all = reports(length, now, &household.zone, household.devices.len(), household.seed);
    let mut alarms = 0;
    for report in &all {
        let since_begin = report.at.duration_since(now) + length;
        let received = start + since_begin.unsigned_abs();
        let submission = household.submission(report, received)?;
        let appended =
            outbox.append(submission).await.map_err(|error| refuse(UNAVAILABLE, &folder, &error))?;
        if !appended.durable {
            return Err(refuse(
                UNAVAILABLE,
                &folder,
                &"the folder cannot be written, or is full: free space, delete the folder, and try again",
            ));
        }
        alarms += appended.ids.len();
    }
    outbox.stop().await;
    let devices = household.devices.len();
    Ok((
        format!("{folder}: {alarms} alarms of {devices} devices. Start alarmbus with it, and open the page"),
        0,
    ))
}

impl Household {
    fn new(args: &SimulateArgs) -> Result<Self, Refusal> {
        let target = Target::parse(super::DUMP_URL)
            .map_err(|error| Refusal { code: USAGE, reason: error.to_string() })?;
        let mut devices = fleet(&Wishes { mac: None, name: None, seed: args.seed }, args.devices);
        for (number, device) in devices.iter_mut().enumerate() {
            device.name = name(number);
        }
        Ok(Self { devices, zone: args.zone(), size: args.picture_size, seed: args.seed, target })
    }

    /// The report as the bridge receives it.
    fn submission(&self, report: &PastReport, received: Instant) -> Result<Submission, Refusal> {
        let Some(device) = self.devices.get(report.device) else {
            return Err(refuse(UNAVAILABLE, "history", &"a report names a device that there is not"));
        };
        let kinds = [SimulatedKind::parse(report.event)];
        let at = report.at.to_zoned(self.zone.clone()).datetime();
        let scene = Scene::at(FigureKind::of(&kinds), self.seed ^ u64::from(device.channel), report.step);
        let clock = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let drawn = || picture::draw(&scene, [&clock, &device.name], self.size);
        let drawn = report.picture.then(drawn).transpose();
        let drawn = drawn.map_err(|error| refuse(UNAVAILABLE, "picture", &error))?;
        let figures = &scene.figures;
        let format = Format::EnhancedMultipart;
        let push = Push { device, format, kinds: &kinds, at, figures, picture: drawn.as_deref() };
        let request = build(&self.target, &push);
        let decoded = crate::decode::decode(&recorded::read(&request, None), &recorded::hints(&request))
            .map_err(|error| refuse(UNAVAILABLE, "report", &error))?;
        let peer = device.ip.parse::<IpAddr>().map_err(|error| refuse(UNAVAILABLE, &device.ip, &error))?;
        let id = request_id::request(Uuid::new_v7(uuid_time(report.at)));
        let blank = Submission::heard(id, peer, Vec::new());
        Ok(Submission {
            received_at: report.at,
            received,
            webhook: WEBHOOK.into(),
            alarms: decoded.alarms,
            pictures: decoded.pictures,
            ..blank
        })
    }
}

/// A moment as identifiers hold it.
fn uuid_time(at: Timestamp) -> uuid::Timestamp {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    uuid::Timestamp::from_unix(uuid::NoContext, seconds, u32::try_from(at.subsec_nanosecond()).unwrap_or(0))
}

/// Parses the length of a history.
pub(super) fn parse_length(text: &str) -> Result<SignedDuration, String> {
    let length = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let length = length.ok().filter(|length| (SignedDuration::from_mins(1)..=LONGEST).contains(length));
    length.ok_or_else(|| "write a duration of at most 31 days, such as 24h or 7d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_day_or_a_month_and_not_longer() {
        assert_eq!(parse_length("24h"), Ok(SignedDuration::from_hours(24)));
        assert_eq!(parse_length("31d"), Ok(LONGEST));
        for wrong in ["", "0h", "-2h", "32d", "1y", "day"] {
            assert!(parse_length(wrong).unwrap_err().contains("24h"), "{wrong}");
        }
    }
}
