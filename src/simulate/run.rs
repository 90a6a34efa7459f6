//! A run: sends the scheduled requests and counts the results.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::device::SimulatedDevice;
use super::event::SimulatedKind;
use super::picture::scene::{FigureKind, Scene};
use super::picture::{self, Size};
use super::plan::{Due, Pace, PlanInput, plan};
use super::request::{Format, Push, build};
use super::sender::{Sender, SentRequest};
use super::summary::Summary;
use super::target::Target;

/// Number of pictures drawn in advance for load, because drawing each one would limit the rate.
const ALBUM_SIZE: u32 = 16;
/// Interval at which progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Everything a run needs.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The target.
    pub target: Target,
    /// The devices; at least one.
    pub devices: Vec<SimulatedDevice>,
    /// The kinds in each report; at least one.
    pub kinds: Vec<SimulatedKind>,
    /// Schedule and formats.
    pub order: PlanInput,
    /// Time zone of the devices' clocks.
    pub zone: TimeZone,
    /// Size of the pictures.
    pub size: Size,
    /// Maximum number of connections that wait for their reply.
    pub connections: usize,
}

/// Progress of a run.
#[derive(Debug)]
pub enum RunProgress<'a> {
    /// One request was sent.
    Sent {
        /// The device.
        device: &'a SimulatedDevice,
        /// Format of the request.
        format: Format,
        /// Bytes of the request.
        bytes: usize,
        /// Outcome.
        sent: &'a SentRequest,
    },
    /// A second has passed.
    Tick(&'a Summary),
}

/// A scene and its picture.
type Frame = (Scene, Vec<u8>);

/// State shared by the tasks of a run.
struct Stage {
    settings: RunSettings,
    sender: Sender,
    album: Vec<Frame>,
}

/// A request and its outcome.
struct Done {
    due: Due,
    bytes: usize,
    sent: SentRequest,
}

/// Sends all planned requests until `stop` completes, and reports progress to `report`.
///
/// # Errors
/// Returns an error when TLS cannot be set up, or no picture can be drawn.
pub async fn run(
    settings: RunSettings,
    stop: impl Future<Output = ()>,
    mut report: impl FnMut(RunProgress<'_>),
) -> anyhow::Result<Summary> {
    let sender = Sender::new(settings.target.clone())?;
    let album = album(&settings)?;
    let mut planned = plan(settings.order.clone());
    let stage = Arc::new(Stage { settings, sender, album });
    let mut stop = std::pin::pin!(stop);
    let mut tick = interval(REPORT_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (start, mut summary, mut tasks) = (Instant::now(), Summary::default(), JoinSet::new());
    let mut next = planned.next();
    while next.is_some() || !tasks.is_empty() {
        let at = start + next.as_ref().map_or(Duration::ZERO, |due| due.at);
        let free = next.is_some() && tasks.len() < stage.settings.connections;
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(done) = tasks.join_next() => stage.count(&done??, &mut summary, &mut report),
            _ = tick.tick() => {
                summary.lasted = start.elapsed();
                report(RunProgress::Tick(&summary));
            }
            () = sleep_until(at), if free => {
                if let Some(due) = next.take().filter(|_| !stage.settings.is_over(start)) {
                    tasks.spawn(Arc::clone(&stage).deliver(due));
                    next = planned.next();
                }
            }
        }
    }
    summary.lasted = start.elapsed();
    stage.sender.settle().await;
    Ok(summary)
}

/// Writes the scheduled requests to files instead of sending them; returns their number. With load, at most 1,000.
///
/// # Errors
/// Returns an error when the folder cannot be written, or no picture can be drawn.
pub fn dump(settings: &RunSettings, folder: &Path) -> anyhow::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let mut count = 0;
    for due in plan(settings.order.clone()).take(1_000) {
        count += 1;
        let name = format!("{count:04}-{}.http", due.format.name());
        std::fs::write(folder.join(name), settings.request(&due, &[])?)?;
    }
    Ok(count)
}

/// Pictures for load; empty for a visit, whose pictures show the time of their own alarm.
fn album(settings: &RunSettings) -> anyhow::Result<Vec<Frame>> {
    let Pace::Load { .. } = settings.order.pace else { return Ok(Vec::new()) };
    let wanted = settings.order.pictures > 0.0;
    let wanted = wanted && settings.order.formats.iter().any(|format| format.takes_picture());
    let frames = (0..ALBUM_SIZE).take_while(|_| wanted).zip(settings.devices.iter().cycle());
    frames.map(|(step, device)| settings.frame(device, step, settings.now())).collect()
}

impl RunSettings {
    /// Returns whether load has reached its duration.
    fn is_over(&self, start: Instant) -> bool {
        matches!(self.order.pace, Pace::Load { duration, .. } if start.elapsed() >= duration)
    }

    /// Time on the devices' clocks.
    fn now(&self) -> DateTime {
        Timestamp::now().to_zoned(self.zone.clone()).datetime()
    }

    /// Draws the view of a device.
    fn frame(&self, device: &SimulatedDevice, step: u32, at: DateTime) -> anyhow::Result<Frame> {
        let scene = Scene::at(FigureKind::of(&self.kinds), self.order.seed ^ u64::from(device.channel), step);
        let clock = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let jpeg = picture::draw(&scene, [&clock, &device.name], self.size)?;
        Ok((scene, jpeg))
    }

    /// Bytes of one alarm; its picture is taken from the album, or drawn if that is empty.
    fn request(&self, due: &Due, album: &[Frame]) -> anyhow::Result<Vec<u8>> {
        let Some(device) = self.devices.get(due.device) else {
            return Err(io::Error::other("the plan names a device that there is not").into());
        };
        let at = self.now();
        let place = due.device.wrapping_add(usize::try_from(due.step)?);
        let ready = album.get(place % album.len().max(1));
        let drawn = match (due.picture, ready) {
            (true, None) => Some(self.frame(device, due.step, at)?),
            _ => None,
        };
        let frame = ready.or(drawn.as_ref()).filter(|_| due.picture);
        let scene =
            Scene::at(FigureKind::of(&self.kinds), self.order.seed ^ u64::from(device.channel), due.step);
        let push = Push {
            device,
            format: due.format,
            kinds: &self.kinds,
            at,
            figures: &frame.map_or(&scene, |(scene, _)| scene).figures,
            picture: frame.map(|(_, jpeg)| jpeg.as_slice()),
        };
        Ok(build(&self.target, &push))
    }
}

impl Stage {
    /// Sends one request.
    async fn deliver(self: Arc<Self>, due: Due) -> anyhow::Result<Done> {
        let request = self.settings.request(&due, &self.album)?;
        let sent = self.sender.send(&request).await;
        Ok(Done { due, bytes: request.len(), sent })
    }

    /// Counts one request and reports it.
    fn count(&self, done: &Done, summary: &mut Summary, report: &mut impl FnMut(RunProgress<'_>)) {
        let Done { due, bytes, sent } = done;
        summary.record(sent, self.settings.kinds.len() as u64);
        if let Some(device) = self.settings.devices.get(due.device) {
            report(RunProgress::Sent { device, format: due.format, bytes: *bytes, sent });
        }
    }
}
