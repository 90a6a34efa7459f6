//! The run itself: follows the plan, sends, and counts.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::device::Device;
use super::event::Kind;
use super::picture::{self, Size};
use super::plan::{Due, Order, Pace, plan};
use super::request::{Format, Push, build};
use super::scene::Scene;
use super::sender::{Sender, Sent};
use super::summary::Summary;
use super::target::Target;

/// Pictures drawn beforehand for load: drawing each would be a load of its own.
const ALBUM: u32 = 16;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Everything a run needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to.
    pub target: Target,
    /// Who; at least one.
    pub devices: Vec<Device>,
    /// What each report says; at least one.
    pub kinds: Vec<Kind>,
    /// When and how.
    pub order: Order,
    /// The zone the devices' clocks are set to.
    pub zone: TimeZone,
    /// How large pictures are.
    pub size: Size,
    /// At most so many connections wait for their reply at once.
    pub connections: usize,
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Progress<'a> {
    /// One alarm was sent.
    Sent {
        /// By whom.
        device: &'a Device,
        /// In which form.
        format: Format,
        /// Bytes of the request.
        bytes: usize,
        /// What became of it.
        sent: &'a Sent,
    },
    /// A second has passed.
    Tick(&'a Summary),
}

/// A scene and its picture.
type Frame = (Scene, Vec<u8>);

/// What the tasks of a run share.
struct Stage {
    settings: Settings,
    sender: Sender,
    album: Vec<Frame>,
}

/// An alarm and what became of it.
struct Done {
    due: Due,
    bytes: usize,
    sent: Sent,
}

/// Sends everything that is planned, until `stop` ends; tells `tell` how it goes.
///
/// # Errors
/// When TLS cannot be set up, or no picture can be drawn.
pub async fn run(
    settings: Settings,
    stop: impl Future<Output = ()>,
    mut tell: impl FnMut(Progress<'_>),
) -> anyhow::Result<Summary> {
    let sender = Sender::new(settings.target.clone())?;
    let album = album(&settings)?;
    let mut planned = plan(settings.order.clone());
    let stage = Arc::new(Stage { settings, sender, album });
    let mut stop = std::pin::pin!(stop);
    let mut tick = interval(TELL_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (start, mut summary, mut tasks) = (Instant::now(), Summary::default(), JoinSet::new());
    let mut next = planned.next();
    while next.is_some() || !tasks.is_empty() {
        let at = start + next.as_ref().map_or(Duration::ZERO, |due| due.at);
        let free = next.is_some() && tasks.len() < stage.settings.connections;
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(done) = tasks.join_next() => stage.count(&done??, &mut summary, &mut tell),
            _ = tick.tick() => {
                summary.lasted = start.elapsed();
                tell(Progress::Tick(&summary));
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

/// Writes the planned requests into files instead of sending them; returns how many. With load, at most 1,000.
///
/// # Errors
/// When the folder cannot be written, or no picture can be drawn.
pub fn dump(settings: &Settings, folder: &Path) -> anyhow::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let mut count = 0;
    for due in plan(settings.order.clone()).take(1_000) {
        count += 1;
        let name = format!("{count:04}-{}.http", due.format.name());
        std::fs::write(folder.join(name), settings.request(&due, &[])?)?;
    }
    Ok(count)
}

/// The pictures for load; none for a visit, whose pictures show the clock of their own alarm.
fn album(settings: &Settings) -> anyhow::Result<Vec<Frame>> {
    let Pace::Load { .. } = settings.order.pace else { return Ok(Vec::new()) };
    let wanted = settings.order.pictures > 0.0;
    let wanted = wanted && settings.order.formats.iter().any(|format| format.takes_picture());
    let frames = (0..ALBUM).take_while(|_| wanted).zip(settings.devices.iter().cycle());
    frames.map(|(step, device)| settings.frame(device, step, settings.now())).collect()
}

impl Settings {
    /// Whether load has lasted long enough, though not all that was planned could be sent.
    fn is_over(&self, start: Instant) -> bool {
        matches!(self.order.pace, Pace::Load { duration, .. } if start.elapsed() >= duration)
    }

    /// The devices' wall time.
    fn now(&self) -> DateTime {
        Timestamp::now().to_zoned(self.zone.clone()).datetime()
    }

    /// Draws what a device sees.
    fn frame(&self, device: &Device, step: u32, at: DateTime) -> anyhow::Result<Frame> {
        let scene = Scene::at(self.order.seed ^ u64::from(device.channel), step);
        let clock = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let jpeg = picture::draw(&scene, [&clock, &device.name], self.size)?;
        Ok((scene, jpeg))
    }

    /// The bytes of one alarm; its picture from the album, if there is one, else drawn.
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
        let scene = Scene::at(self.order.seed ^ u64::from(device.channel), due.step);
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
    /// Sends one alarm.
    async fn deliver(self: Arc<Self>, due: Due) -> anyhow::Result<Done> {
        let request = self.settings.request(&due, &self.album)?;
        let sent = self.sender.send(&request).await;
        Ok(Done { due, bytes: request.len(), sent })
    }

    /// Counts one alarm and tells of it.
    fn count(&self, done: &Done, summary: &mut Summary, tell: &mut impl FnMut(Progress<'_>)) {
        let Done { due, bytes, sent } = done;
        summary.record(sent);
        if let Some(device) = self.settings.devices.get(due.device) {
            tell(Progress::Sent { device, format: due.format, bytes: *bytes, sent });
        }
    }
}
