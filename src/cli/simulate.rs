//! `alarmbus simulate`: simulates a camera.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;

use super::Global;
use crate::config::Config;
use crate::model::Mac;
use crate::model::time::clock::ZoneSetting;
use crate::simulate::device::{Wishes, fleet};
use crate::simulate::event::SimulatedKind;
use crate::simulate::picture::Size;
use crate::simulate::plan::{Pace, PlanInput};
use crate::simulate::request::Format;
use crate::simulate::run::{RunSettings, dump, run as run_plan};
use crate::simulate::sender::Sender;
use crate::simulate::target::Target;
use crate::terminal::Failure;
use progress::{ProgressPrinter, summary_text};

mod history;
mod maker;
mod progress;

/// Exit code of a usage error (sysexits).
const USAGE: u8 = 64;
/// Exit code of a service that does not answer (sysexits).
const UNAVAILABLE: u8 = 69;
/// Target of requests that are only dumped: an address reserved for documentation.
const DUMP_URL: &str = "http://192.0.2.5:8089/alarm";

/// Simulate a camera: a new connection per alarm, reset after the answer, repeats, all formats, pictures.
///
/// Without options, a person walks past one camera for about 15 seconds. With --rate, it generates load.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// The webhook; by default the first one of the bridge that runs with the storage folder.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The storage folder of the running bridge, from the configuration.
    #[arg(skip)]
    storage: PathBuf,
    /// Play the sample requests of another maker: hikvision, dahua, reolink … or all; --count times.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["format", "event", "devices", "mac", "name", "rate", "test_button"])]
    maker: Option<String>,
    /// Fill a new storage folder with the alarms of the last 24h, 7d …, as if cameras had reported; publishes nothing.
    #[arg(long, value_name = "DURATION", value_parser = history::parse_length,
        conflicts_with_all = ["url", "maker", "format", "event", "count", "mac", "name", "pictures", "rate", "test_button", "dump"])]
    history: Option<jiff::SignedDuration>,
    /// Format of the reports; `mixed` takes all that were seen on real devices, in turn.
    #[arg(long, value_enum, default_value = "multipart")]
    format: FormatChoice,
    /// Kinds to report, several at once: known names, `type/sub_type` of a recorder, or any other name.
    #[arg(long, value_name = "EVENT", value_delimiter = ',', default_value = "motion,person")]
    event: Vec<String>,
    /// Number of requests of each device; with --rate, of all together. Each request holds one alarm per --event.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Number of devices.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    devices: u16,
    /// MAC address of the device; by default derived from the seed.
    #[arg(long, conflicts_with = "devices")]
    mac: Option<Mac>,
    /// Name of the device; several devices are numbered.
    #[arg(long)]
    name: Option<String>,
    /// Zone of the devices' clocks: Europe/Berlin, +08:00; by default that of this machine.
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    timezone: Option<ZoneSetting>,
    /// Size of the pictures.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720")]
    picture_size: Size,
    /// Share of requests with a picture, 0 to 1, among formats that have one.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = parse_share)]
    pictures: f64,
    /// Load: requests per second of all devices together; 0: as fast as answers arrive.
    #[arg(long, value_name = "PER SECOND", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Load: duration in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "rate")]
    duration: u32,
    /// Maximum number of connections that wait for an answer at once.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Seed; the same one gives the same devices and pauses.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Press the Test button: connect, send nothing, reset after 0.1 s.
    #[arg(long)]
    test_button: bool,
    /// Write the raw requests to files instead of sending them.
    #[arg(long, value_name = "FOLDER")]
    dump: Option<PathBuf>,
}

/// Formats to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatChoice {
    /// A camera's JSON without "Enhanced Alarm Message Service".
    Legacy,
    /// A camera's JSON with boxes.
    Enhanced,
    /// A camera's legacy JSON and a picture.
    Multipart,
    /// A camera's JSON with boxes, and a picture (not seen on a real device yet).
    EnhancedMultipart,
    /// A recorder's JSON.
    Nvr,
    /// A recorder's JSON and a picture.
    NvrMultipart,
    /// All but `enhanced-multipart`, in turn.
    Mixed,
}

impl FormatChoice {
    /// The formats, in turn.
    fn formats(self) -> Vec<Format> {
        match self {
            Self::Legacy => vec![Format::Legacy],
            Self::Enhanced => vec![Format::Enhanced],
            Self::Multipart => vec![Format::Multipart],
            Self::EnhancedMultipart => vec![Format::EnhancedMultipart],
            Self::Nvr => vec![Format::Nvr],
            Self::NvrMultipart => vec![Format::NvrMultipart],
            Self::Mixed => {
                vec![Format::Multipart, Format::Enhanced, Format::Legacy, Format::NvrMultipart, Format::Nvr]
            }
        }
    }
}

/// Reason why nothing was sent.
struct Refusal {
    code: u8,
    reason: String,
}

/// Runs the command: 0 if every request was answered 200, otherwise 69; 64 for wrong usage.
pub fn start(global: &Global, mut args: SimulateArgs) -> ExitCode {
    let mut config = None;
    match global.load() {
        Ok(loaded) => {
            args.storage.clone_from(&loaded.config.storage.path);
            config = Some(loaded.config);
        }
        Err(failure) if args.url.is_none() && args.dump.is_none() => return failure.report(),
        // With a given target, the configuration is not needed.
        Err(_) => {}
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(args, config)),
        Err(error) => Failure::from(error).report(),
    }
}

/// Sends the requests, prints progress and summary, and returns the exit code.
async fn run(args: SimulateArgs, config: Option<Config>) -> ExitCode {
    let mut out = std::io::stdout();
    let result = match execute(args, config).await {
        Ok((text, code)) => writeln!(out, "{text}").map(|()| code),
        Err(refusal) => {
            writeln!(std::io::stderr(), "alarmbus simulate: {}", refusal.reason).map(|()| refusal.code)
        }
    };
    // Output may be unread; the exit code still reports the result.
    result.map_or(ExitCode::from(UNAVAILABLE), ExitCode::from)
}

/// Runs the command; returns the summary and the exit code.
async fn execute(args: SimulateArgs, config: Option<Config>) -> Result<(String, u8), Refusal> {
    if let (Some(length), Some(config)) = (args.history, &config) {
        return history::fill(&args, length, config).await;
    }
    if let Some(maker) = &args.maker {
        return maker::play(&args, maker).await;
    }
    let settings = args.settings()?;
    if let Some(folder) = &args.dump {
        let count = dump(&settings, folder).map_err(|error| refuse(UNAVAILABLE, folder.display(), &error))?;
        return Ok((format!("wrote {count} requests to {}", folder.display()), 0));
    }
    let place = settings.target.authority.clone();
    if args.test_button {
        let sender = Sender::new(settings.target).map_err(|error| refuse(UNAVAILABLE, &place, &error))?;
        sender.press_test_button().await.map_err(|error| refuse(UNAVAILABLE, &place, &error))?;
        return Ok((format!("{place}: connected, sent nothing, reset: as the Test button does"), 0));
    }
    let printer = ProgressPrinter { load: args.rate.is_some(), terminal: std::io::stdout().is_terminal() };
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let summary = run_plan(settings, stop, |progress| printer.print_progress(&progress)).await;
    printer.end();
    let summary = summary.map_err(|error| refuse(UNAVAILABLE, &place, &error))?;
    Ok((summary_text(&summary, &place), if summary.is_success() { 0 } else { UNAVAILABLE }))
}

/// A refusal that names the target.
fn refuse(code: u8, place: impl std::fmt::Display, error: &impl std::fmt::Display) -> Refusal {
    Refusal { code, reason: format!("{place}: {error}") }
}

impl SimulateArgs {
    /// Converts the arguments into settings.
    fn settings(&self) -> Result<RunSettings, Refusal> {
        let kinds: Vec<SimulatedKind> = self.event.iter().map(|event| SimulatedKind::parse(event)).collect();
        let formats = self.format.formats();
        let recorder = formats.iter().any(|format| format.is_recorder());
        if let Some(kind) = kinds.iter().find(|kind| recorder && kind.recorder.is_none()) {
            let reason = format!(
                "recorders have no number for {}: choose another --event, or write type/sub_type (2/7)",
                kind.camera
            );
            return Err(Refusal { code: USAGE, reason });
        }
        let wishes = Wishes { mac: self.mac, name: self.name.clone(), seed: self.seed };
        Ok(RunSettings {
            target: self.target()?,
            devices: fleet(&wishes, self.devices),
            kinds,
            order: PlanInput {
                pace: self.pace(),
                devices: usize::from(self.devices),
                formats,
                pictures: self.pictures,
                seed: self.seed,
            },
            zone: self.zone(),
            size: self.picture_size,
            connections: usize::from(self.connections),
        })
    }

    /// The zone of the devices' clocks.
    fn zone(&self) -> TimeZone {
        match &self.timezone {
            Some(ZoneSetting::Fixed(zone)) => zone.clone(),
            Some(ZoneSetting::Auto) | None => TimeZone::system(),
        }
    }

    /// Target of the requests.
    fn target(&self) -> Result<Target, Refusal> {
        let (code, found) = match (&self.url, &self.dump) {
            (Some(url), _) => (USAGE, Target::parse(url)),
            (None, Some(_)) => (USAGE, Target::parse(DUMP_URL)),
            (None, None) => (UNAVAILABLE, Target::of_bridge(&self.storage)),
        };
        found.map_err(|error| Refusal { code, reason: error.to_string() })
    }

    /// Pace: a short visit, or load.
    fn pace(&self) -> Pace {
        match self.rate {
            None => Pace::Visit { count: self.count.unwrap_or(5) },
            Some(rate) => {
                let duration = Duration::from_secs(u64::from(self.duration));
                Pace::Load { rate, duration, count: self.count }
            }
        }
    }
}

/// Parses a time zone, as in the configuration.
fn parse_zone(text: &str) -> Result<ZoneSetting, String> {
    ZoneSetting::parse(text).map_err(|error| error.to_string())
}

/// Parses a number from 0 to 1.
fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a share from 0 to 1, such as 0.5".into())
}

/// Parses a number of at least 0.
fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.0..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| "write requests per second, such as 50; 0 for as many as are answered".into())
}
