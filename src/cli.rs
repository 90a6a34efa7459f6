//! The command line: arguments and commands, a file for each command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Flag, Loaded, Sources};
use crate::terminal::{Code, Failure};

mod completions;
mod decode;
mod diagnosis;
mod running;
mod schema;
mod serve;
pub mod simulate;
mod supervisor;

/// Receives the alarms that cameras push over HTTP, stores each before it answers, and publishes them to MQTT and NATS.
#[derive(Debug, Parser)]
#[command(name = "alarmbus", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
    /// Flags of `serve`, the default command.
    #[command(flatten)]
    serve: serve::ServeArgs,
}

/// Text below the help.
const AFTER_HELP: &str = "Without a command, `serve` runs.\n\n\
    Configuration: defaults, then the file, then ALARMBUS_<SECTION>__<KEY> variables, then flags.\n\
    Exit codes: 0 success; 1 a negative result (doctor, healthcheck, or a request the running bridge refuses); 64 wrong command \
    line; 65 a file that cannot be understood (decode); 69 something does not answer (the bridge, a broker); 70 internal \
    error; 74 reading or writing failed; 78 wrong configuration.";

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The configuration file [default: $ALARMBUS_CONFIG, ./alarmbus.toml, /etc/alarmbus/alarmbus.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets any key of the configuration, such as mqtt.server=mqtt://broker; can be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// The log level: error, warn, info, debug, trace, or per module (log.level)
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// The storage folder (storage.path)
    #[arg(long, global = true, value_name = "DIR")]
    storage: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bridge (the default)
    Serve(serve::ServeArgs),
    /// Check the configuration and connections
    Check(diagnosis::check::CheckArgs),
    /// Ask the running bridge whether it takes alarms; exit 0 if so, 1 if not
    #[command(long_about = diagnosis::healthcheck::HELP)]
    Healthcheck(diagnosis::healthcheck::HealthcheckArgs),
    /// Diagnose why alarms do not arrive
    Doctor(diagnosis::doctor::DoctorArgs),
    /// Show alarms as they come
    Watch(running::watch::WatchArgs),
    /// List stored alarms, newest first, by device, kind, time and text
    Alarms(running::alarms::AlarmsArgs),
    /// List and change devices
    Devices(running::devices::DevicesArgs),
    /// List webhooks, add one, give one a new secret
    Webhook(running::webhook::WebhookArgs),
    /// Show what waits and what is parked; try again or drop
    Outbox(running::outbox::OutboxArgs),
    /// Show the cluster, print its permissions, change its partitions, leave it
    Cluster(running::cluster::Cluster),
    /// Send an alarm again, marked as replayed
    Replay(running::replay::ReplayArgs),
    /// Write an archive for a bug report, secrets and addresses masked
    Bundle(diagnosis::bundle::BundleArgs),
    /// Act as a real device: send alarms to a bridge
    Simulate(simulate::SimulateArgs),
    /// Show what a recorded request would become
    Decode(decode::DecodeArgs),
    /// Draft a mapping file for a device that is not known yet
    Mapping(decode::draft::MappingArgs),
    /// Print the JSON Schema of everything that is published as JSON, or that of mapping files
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell, or write man pages
    Completions(completions::CompletionsArgs),
}

/// Runs the command that was typed and says how it ended; every failure is one or more plain lines on stderr.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return crate::terminal::failure::usage(&error),
    };
    if let Some(Command::Simulate(args)) = cli.command {
        return simulate::start(&cli.global, args);
    }
    match dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs the command.
fn dispatch(cli: &Cli) -> Result<(), Failure> {
    if !matches!(cli.command, None | Some(Command::Serve(_))) && cli.serve.is_given() {
        return Err(Failure::new(Code::Usage, "--bind and --ready-file belong to `serve`: leave them out"));
    }
    match &cli.command {
        None => serve::run(&cli.global, &cli.serve),
        Some(Command::Serve(serve)) => serve::run(&cli.global, &serve.clone().or(&cli.serve)),
        Some(Command::Simulate(_)) => Ok(()),
        Some(Command::Check(check)) => diagnosis::check::run(&cli.global, check),
        Some(Command::Healthcheck(healthcheck)) => diagnosis::healthcheck::run(&cli.global, healthcheck),
        Some(Command::Decode(decode)) => decode::run(&cli.global, decode),
        Some(Command::Doctor(doctor)) => diagnosis::doctor::run(&cli.global, doctor),
        Some(Command::Watch(watch)) => running::watch::run(&cli.global, watch),
        Some(Command::Alarms(alarms)) => running::alarms::run(&cli.global, alarms),
        Some(Command::Devices(devices)) => running::devices::run(&cli.global, devices),
        Some(Command::Webhook(webhook)) => running::webhook::run(&cli.global, webhook),
        Some(Command::Outbox(outbox)) => running::outbox::run(&cli.global, outbox),
        Some(Command::Cluster(cluster)) => running::cluster::run(&cli.global, cluster),
        Some(Command::Replay(replay)) => running::replay::run(&cli.global, replay),
        Some(Command::Bundle(bundle)) => diagnosis::bundle::run(&cli.global, bundle),
        Some(Command::Mapping(mapping)) => decode::draft::run(mapping),
        Some(Command::Schema(schema)) => schema::run(schema),
        Some(Command::Completions(completions)) => completions::run(completions),
    }
}

impl Global {
    /// Sources of the configuration; `more` are the command's own flags. With it the Supervisor's token, where
    /// this is a Home Assistant app.
    ///
    /// # Errors
    /// When a variable of ours is no UTF-8 (a password must not be changed in silence), or the app's options are wrong.
    fn sources_and_token(&self, more: Vec<Flag>) -> Result<(Sources, Option<String>), Failure> {
        let mut sources = self.typed(more)?;
        let token = supervisor::add_options(&mut sources)?;
        Ok((sources, token))
    }

    /// Arguments and environment variables.
    fn typed(&self, more: Vec<Flag>) -> Result<Sources, Failure> {
        let flag = |name: &str, key: &str, value: &String| Flag {
            name: name.to_owned(),
            key: key.to_owned(),
            value: value.clone(),
        };
        let mut flags: Vec<Flag> = self.set.iter().map(|(key, value)| flag("--set", key, value)).collect();
        flags.extend(self.log_level.iter().map(|level| flag("--log-level", "log.level", level)));
        flags.extend(self.storage.iter().map(|folder| flag("--storage", "storage.path", folder)));
        flags.extend(more);
        let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let env = env.filter(|(name, _)| name.starts_with("ALARMBUS_")).map(|(name, value)| {
            let problem = format!("the variable {name} is not UTF-8 text: write it in plain characters");
            let value = value.into_string().map_err(|_| Failure::new(Code::Config, problem))?;
            Ok((name, value))
        });
        let env = env.collect::<Result<Vec<_>, Failure>>()?;
        Ok(Sources { file: self.config.clone(), env, flags, ..Sources::default() })
    }

    /// Loads the configuration.
    ///
    /// # Errors
    /// All mistakes, as a failure with exit code 78.
    pub fn load(&self) -> Result<Loaded, Failure> {
        Ok(config::load(&self.sources_and_token(Vec::new())?.0)?)
    }
}

/// Reads `KEY=VALUE`.
fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, such as mqtt.server=mqtt://broker")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}
