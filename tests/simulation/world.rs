//! One run: the real writer, store and relays over the simulated disk, the scripted broker and a paused clock, through
//! the steps of a plan, and the checks at its end.

mod folder;

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alarmbus::app::sinks::render_settings;
use alarmbus::config::{ByteSize, Config};
use alarmbus::findings::{FindingCode, Findings};
use alarmbus::host;
use alarmbus::outbox::{DeviceChange, Execution, Outbox, WriterSettings};
use alarmbus::relay::{Relay, StatusHandle};
use alarmbus::render::Renderer;
use alarmbus::sink::Traits;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::{Broker, Scripted};
use crate::camera::Camera;
use crate::disk::Disk;
use crate::files::parked;
use crate::model::{Broken, Model};
use crate::plan::{DEVICES, Step};

/// The wall clock at the start of every run, in seconds.
const EPOCH: i64 = 1_800_000_000;
/// Seconds from the last alarm of an activity to its end.
const HOLD_SECONDS: u64 = 3;
/// Times at which the rules are checked once there are no more faults; they must hold at the last one.
const LOOKS: [Duration; 3] = [Duration::from_secs(12), Duration::from_secs(15), Duration::from_secs(40)];
/// Interval of checks of the findings while time passes.
const SLICE: Duration = Duration::from_millis(500);
/// Interval of checks of the disk, while its power is about to fail.
const SHORT: Duration = Duration::from_millis(40);

/// Sinks of a run: one like MQTT, one like NATS.
const SINKS: [Traits; 2] = [
    Traits { name: "mqtt", values: true, discovery: true, one_per_source: false, acknowledges: true },
    Traits { name: "nats", values: true, discovery: false, one_per_source: true, acknowledges: true },
];

/// Reason for the end of a process of the bridge.
enum End {
    /// All steps are done, and all rules hold.
    Done,
    /// The process was stopped.
    Stopped(Option<Change>),
    /// The power failed; with the seed for the loss of unsynced data.
    Crashed(u64, Option<Change>),
}

/// Change to the folder while no process runs.
enum Change {
    Copy,
    Restore,
    DropWal,
    Empty,
    Damage(u64),
}

/// State that outlives a process.
pub(crate) struct World {
    disk: Disk,
    folder: PathBuf,
    copy: PathBuf,
    /// The mark that the first broker had when the folder was copied.
    copied_mark: Option<Bytes>,
    brokers: Vec<Arc<Mutex<Broker>>>,
    model: Arc<Mutex<Model>>,
    cameras: Vec<Camera>,
    wall: Timestamp,
    /// Seed for the loss of unsynced data at the next crash, if one is scheduled at an operation of the disk.
    crash: Option<u64>,
}

/// Runs the steps of a seed; returns a digest of all messages to the brokers, or the broken rule.
pub(crate) fn run(disk: &Disk, seed: u64, steps: &[Step]) -> Result<u64, Broken> {
    let folder = disk.folder().join("run");
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).expect("a folder in memory can be made");
    let sinks = if seed.is_multiple_of(3) { 2 } else { 1 };
    let mut world = World {
        disk: disk.clone(),
        folder: folder.join("store"),
        copy: folder.join("copy"),
        copied_mark: None,
        brokers: (0..sinks).map(|_| Arc::default()).collect(),
        model: Arc::default(),
        cameras: (0..DEVICES).map(Camera::new).collect(),
        wall: Timestamp::from_second(EPOCH).expect("a moment"),
        crash: None,
    };
    let mut at = 0;
    for incarnation in 0.. {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime of one thread");
        let end = runtime.block_on(async {
            host::simulate(world.wall, seed.wrapping_mul(31).wrapping_add(incarnation));
            let end = world.process(steps, &mut at).await;
            world.crash = None;
            world.wall = host::now() + SignedDuration::from_millis(200);
            end
        });
        // Connections that end with the runtime are not closed properly.
        disk.stop_at(0);
        drop(runtime);
        world
            .brokers
            .iter()
            .for_each(|broker| lock(broker).cut(FindingCode::BrokerUnreachable, "the process ended"));
        match end? {
            End::Done => break,
            End::Stopped(change) => {
                disk.settle();
                lock(&world.model).ended();
                world.change(change.as_ref());
            }
            End::Crashed(loss, change) => {
                disk.lose_unsynced(loss);
                lock(&world.model).ended();
                world.change(change.as_ref());
            }
        }
    }
    disk.settle();
    let mut digest = DefaultHasher::new();
    world.brokers.iter().for_each(|broker| lock(broker).digest(&mut digest));
    Ok(digest.finish())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

/// One process of the bridge.
struct Process {
    outbox: Outbox,
    findings: Findings,
    stop: CancellationToken,
    relays: Vec<tokio::task::JoinHandle<()>>,
}

impl World {
    /// Starts the bridge.
    fn start(&self) -> Result<Process, Broken> {
        let mut config = Config::default();
        config.storage.path.clone_from(&self.folder);
        config.storage.min_free_bytes = ByteSize(0);
        config.activity.hold_seconds = HOLD_SECONDS;
        config.time.timezone = "UTC".into();
        let settings = Arc::new(WriterSettings::new(&config));
        let findings = Findings::default();
        let sinks = SINKS.get(..self.brokers.len()).unwrap_or_default();
        let names: Vec<&str> = sinks.iter().map(|sink| sink.name).collect();
        let outbox = Outbox::open_on(Execution::CurrentRuntime, settings, findings.clone(), &names)
            .map_err(|error| Broken { rule: "the bridge starts", seen: error.to_string() })?;
        let stop = CancellationToken::new();
        let relays = sinks.iter().zip(&self.brokers).map(|(traits, broker)| {
            let renderer =
                Renderer::new(render_settings(&config, "simulated")).expect("the defaults are valid");
            let token_topic = renderer.bridge_token("").topic;
            let token = outbox.position(traits.name).token;
            let relay = Relay {
                sink: Scripted::new(Arc::clone(broker), *traits, self.disk.clone(), token_topic, token),
                renderer: Arc::new(renderer),
                outbox: outbox.clone(),
                findings: findings.clone(),
                status: StatusHandle::new(traits.name),
                replay_after: SignedDuration::from_secs(10),
                each_picture: false,
                pictures: Vec::new(),
                stop: stop.clone(),
                drain: Duration::from_secs(2),
            };
            tokio::spawn(relay.run())
        });
        let relays = relays.collect();
        Ok(Process { outbox, findings, stop, relays })
    }

    /// One process, from its start until it ends.
    async fn process(&mut self, steps: &[Step], at: &mut usize) -> Result<End, Broken> {
        let process = self.start()?;
        if !self.pass(&process, Duration::from_millis(20)).await {
            return Ok(self.crashed(None));
        }
        while let Some(step) = steps.get(*at) {
            *at += 1;
            if let Some(end) = self.step(step, &process).await {
                return Ok(end);
            }
            if !self.pass(&process, Duration::from_millis(2)).await {
                return Ok(self.crashed(None));
            }
        }
        self.finish(&process).await
    }

    /// Lets time pass; `false`: the power failed meanwhile.
    async fn pass(&self, process: &Process, time: Duration) -> bool {
        let until = tokio::time::Instant::now() + time;
        let slice = if self.crash.is_some() { SHORT } else { SLICE };
        loop {
            let now = tokio::time::Instant::now();
            tokio::time::sleep(slice.min(until - now)).await;
            if self.disk.is_stopped() {
                return false;
            }
            let mut model = lock(&self.model);
            process.findings.list().iter().for_each(|finding| model.found(finding.kind.code.as_str()));
            if until <= tokio::time::Instant::now() {
                return true;
            }
        }
    }

    async fn step(&mut self, step: &Step, process: &Process) -> Option<End> {
        let several = std::env::var_os("SIMULATED_REFUSALS").is_some();
        let each_broker =
            |change: &dyn Fn(&mut Broker)| self.brokers.iter().for_each(|broker| change(&mut lock(broker)));
        match *step {
            Step::Alarms { device, kinds, picture, reports } => {
                for _ in 0..reports {
                    self.report(process, device, kinds, picture);
                }
            }
            Step::Wait(milliseconds) => {
                if !self.pass(process, Duration::from_millis(milliseconds.into())).await {
                    return Some(self.crashed(None));
                }
            }
            Step::BrokerDown => each_broker(&|broker| {
                broker.down = true;
                broker.cut(FindingCode::BrokerUnreachable, "the broker went away");
            }),
            Step::BrokerUp => each_broker(&|broker| broker.down = false),
            Step::Slow(milliseconds) => each_broker(&|broker| broker.slow = milliseconds),
            Step::Busy(messages) => each_broker(&|broker| broker.busy = messages),
            // One sort of topic at a time, unless more are requested.
            Step::Forbid(topic, manner) => each_broker(&|broker| {
                if !several {
                    broker.forbidden.clear();
                }
                broker.forbidden.push((topic, manner));
            }),
            Step::Permit => each_broker(&|broker| broker.forbidden.clear()),
            Step::CutAt(message, cut) => each_broker(&|broker| broker.cut_at = Some((message, cut))),
            Step::Forget => each_broker(&|broker| {
                broker.retained.clear();
                broker.cut(FindingCode::BrokerUnreachable, "the broker was started anew");
            }),
            Step::TakenOver => {
                each_broker(&|broker| broker.cut(FindingCode::BrokerTakenOver, "another client has this id"))
            }
            Step::Disk(errno) => {
                lock(&self.model).disk_broke |= errno == crate::disk::EIO;
                self.disk.fail(errno);
            }
            Step::Crash(loss) => return Some(End::Crashed(loss, None)),
            Step::CrashAt(operation, loss) => {
                self.crash = Some(loss);
                self.disk.stop_at(u32::from(operation) + 1);
            }
            Step::Restart => return Some(self.stop(process, None).await),
            Step::Backup => return Some(self.stop(process, Some(Change::Copy)).await),
            Step::Restore => return Some(End::Crashed(0, Some(Change::Restore))),
            Step::DropWal => return Some(End::Crashed(0, Some(Change::DropWal))),
            Step::Empty => return Some(End::Crashed(0, Some(Change::Empty))),
            Step::Damage(seed) => return Some(End::Crashed(0, Some(Change::Damage(seed)))),
            Step::Clear(device) | Step::Remove(device) | Step::Rename(device) => {
                self.ask(step, device, process)
            }
        }
        None
    }

    /// A report of a camera, which waits for its answer as a connection does.
    fn report(&mut self, process: &Process, device: u8, kinds: u8, picture: bool) {
        let camera = self.cameras.get_mut(usize::from(device)).expect("a camera of the run");
        lock(&self.model).removed.remove(&camera.source());
        let (submission, alarms) = camera.report(kinds, picture);
        let (outbox, model, disk) = (process.outbox.clone(), Arc::clone(&self.model), self.disk.clone());
        tokio::spawn(async move {
            // An unanswered report is sent again by nobody, and not expected to arrive.
            let Ok(appended) = outbox.append(submission).await else { return };
            if !disk.is_stopped() {
                let answered = alarms.into_iter().filter(|(id, _)| appended.ids.contains(id)).collect();
                lock(&model).answered(answered, appended.durable);
            }
        });
    }

    fn ask(&self, step: &Step, device: u8, process: &Process) {
        let source = self.cameras.get(usize::from(device)).expect("a camera of the run").known();
        let change = match step {
            Step::Clear(_) => DeviceChange::Clear(source, None),
            Step::Remove(_) => {
                let mut model = lock(&self.model);
                model.removed.insert(source.as_str().to_owned());
                model.ever_removed.insert(source.as_str().to_owned());
                DeviceChange::Remove(source)
            }
            _ => DeviceChange::Rename(source, format!("Camera {device}")),
        };
        let outbox = process.outbox.clone();
        tokio::spawn(async move { outbox.device(change).await.ok() });
    }

    /// Stops the bridge like a signal.
    async fn stop(&self, process: &Process, change: Option<Change>) -> End {
        process.stop.cancel();
        let relays = async {
            while process.relays.iter().any(|relay| !relay.is_finished()) {
                tokio::time::sleep(SHORT).await;
            }
            process.outbox.stop().await;
        };
        // A hanging disk or broker is not waited for longer.
        tokio::time::timeout(Duration::from_secs(4), relays).await.ok();
        if self.disk.is_stopped() { self.crashed(change) } else { End::Stopped(change) }
    }

    /// Ends all faults, the refusals of the broker last; then all rules must hold.
    async fn finish(&mut self, process: &Process) -> Result<End, Broken> {
        self.disk.fail(0);
        for broker in &self.brokers {
            let mut broker = lock(broker);
            (broker.down, broker.slow, broker.busy, broker.cut_at) = (false, 0, 0, None);
        }
        if let Some(end) = self.settle(process, Model::check_permitted).await? {
            return Ok(end);
        }
        for broker in &self.brokers {
            let mut broker = lock(broker);
            broker.forbidden.clear();
            broker.cut(FindingCode::BrokerUnreachable, "the broker was started anew");
        }
        for device in 0..DEVICES {
            self.report(process, device, 15, true);
        }
        Ok(self.settle(process, Model::check).await?.unwrap_or(End::Done))
    }

    /// Waits until a check holds at every broker; returns the end of the process if the power fails meanwhile.
    async fn settle(
        &self,
        process: &Process,
        check: impl Fn(&Model, &Broker, &HashSet<Uuid>) -> Result<(), Broken>,
    ) -> Result<Option<End>, Broken> {
        let mut result = Ok(());
        for look in LOOKS {
            if !self.pass(process, look).await {
                return Ok(Some(self.crashed(None)));
            }
            let parked = match parked(&process.outbox) {
                Err(_) if self.disk.is_stopped() => return Ok(Some(self.crashed(None))),
                parked => parked?,
            };
            let model = lock(&self.model);
            result = self.brokers.iter().try_for_each(|broker| check(&model, &lock(broker), &parked));
            if result.is_ok() {
                return Ok(None);
            }
        }
        result.map(|()| None)
    }

    /// End of a process by a power failure.
    fn crashed(&self, change: Option<Change>) -> End {
        End::Crashed(self.crash.unwrap_or(0), change)
    }
}
