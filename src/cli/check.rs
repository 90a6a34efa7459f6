//! `alarmbus check`: is the configuration right, and would the bridge be able to do its work?

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use clap::Args;
use figment::value::{Empty, Value};

use super::{Code, Failure, Global, healthcheck, out, supervisor};
use crate::app::{self, trial::Tried};
use crate::config::{self, Config, KeyPath, Loaded, Origin};

/// Flags of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Only print the configuration with the source of each value, secrets masked; try nothing
    #[arg(long)]
    print: bool,
}

/// What became of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It works.
    Good,
    /// It works, but is worth a look.
    Warning,
    /// It does not work.
    Bad,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// What came of it.
    verdict: Verdict,
    /// What was tried: `mqtt`, `http.bind`.
    what: String,
    /// What was seen; for [`Verdict::Bad`] with the remedy.
    detail: String,
}

impl Line {
    /// One line of the answer.
    fn new(verdict: Verdict, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { verdict, what: what.into(), detail: detail.into() }
    }
}

/// Prints the configuration, then tries everything. Exit code 69 if something does not work.
pub(super) fn run(global: &Global, check: &Check) -> Result<(), Failure> {
    let (sources, no_broker) = supervisor::with_broker(global, Vec::new())?;
    let loaded = config::load(&sources)?;
    if check.print {
        return out::print(&configuration(&loaded));
    }
    let file = loaded.file.as_ref().map_or("no file".into(), |path| path.display().to_string());
    let mut lines = vec![Line::new(Verdict::Good, "configuration", file)];
    lines.extend(loaded.warnings.iter().map(|w| Line::new(Verdict::Warning, "configuration", w.to_string())));
    lines.extend(no_broker.map(|why| Line::new(Verdict::Warning, "configuration", why)));
    lines.extend(try_host(&loaded.config));
    lines.extend(try_sinks(&loaded.config)?);
    for line in &lines {
        let mark = match line.verdict {
            Verdict::Good => "ok      ",
            Verdict::Warning => "warning ",
            Verdict::Bad => "FAILED  ",
        };
        out::print(&format!("{mark}{}: {}\n", line.what, line.detail))?;
    }
    let bad = lines.iter().filter(|line| line.verdict == Verdict::Bad).count();
    if bad == 0 {
        return Ok(());
    }
    Err(Failure::new(Code::Unavailable, format!("{bad} of {} tries failed", lines.len())))
}

/// Connects to every sink that is on, and says of each what came of it.
fn try_sinks(config: &Config) -> Result<Vec<Line>, Failure> {
    if app::sinks::wants_embedded(config) {
        let bind = config.broker.bind;
        let detail =
            format!("no sink is on, so the embedded broker runs, at {bind} or the next port that is free");
        return Ok(vec![Line::new(Verdict::Good, "broker", detail)]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tried = runtime.block_on(app::trial::try_sinks(config));
    let line = |tried: Tried| match tried.outcome {
        Ok(description) => Line::new(Verdict::Good, tried.name, description),
        Err(reason) => Line::new(Verdict::Bad, tried.name, reason),
    };
    Ok(tried.into_iter().map(line).collect())
}

/// Tries what the host must give: ports, the folder, certificates.
fn try_host(config: &Config) -> Vec<Line> {
    let running = config.admin.bind.port() != 0 && healthcheck::is_running(&config.admin);
    let mut binds = vec![("http.bind", config.http.bind), ("admin.bind", config.admin.bind)];
    binds.extend(config.https.as_ref().map(|https| ("https.bind", https.bind)));
    let mut lines: Vec<Line> = binds.into_iter().map(|(key, address)| bind(key, address, running)).collect();
    lines.push(folder(&config.storage.path));
    let Config { admin, mqtt, nats, https, .. } = config;
    let https_files = https.as_ref().map(|https| (&https.cert, &https.key)).unwrap_or((&None, &None));
    let files = [
        ("https.cert", https_files.0),
        ("https.key", https_files.1),
        ("admin.cert", &admin.cert),
        ("admin.key", &admin.key),
        ("mqtt.ca", &mqtt.ca),
        ("mqtt.cert", &mqtt.cert),
        ("mqtt.key", &mqtt.key),
        ("nats.ca", &nats.ca),
        ("nats.cert", &nats.cert),
        ("nats.key", &nats.key),
        ("nats.credentials", &nats.credentials),
    ];
    lines.extend(files.into_iter().filter_map(|(key, path)| path.as_deref().map(|path| pem(key, path))));
    lines
}

/// Whether a listener would get its port. While the bridge runs, it has them itself.
fn bind(key: &str, address: SocketAddr, running: bool) -> Line {
    let Err(error) = TcpListener::bind(address) else {
        return Line::new(Verdict::Good, key, format!("{address} is free"));
    };
    let remedy = match error.kind() {
        ErrorKind::AddrInUse if running => {
            return Line::new(Verdict::Good, key, format!("{address} is in use; the bridge is running"));
        }
        ErrorKind::AddrInUse => "stop the other program, or choose another port",
        ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one",
        _ => "the address must be one of this host, or 0.0.0.0",
    };
    Line::new(Verdict::Bad, key, format!("cannot listen at {address}: {error}; {remedy}"))
}

/// Whether the storage folder can be written. One that is not there yet is made at start, in the nearest that is.
fn folder(path: &Path) -> Line {
    let nearest = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let nearest = if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest };
    let probe = nearest.join(format!(".alarmbus-check-{}", std::process::id()));
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => Line::new(Verdict::Good, "storage.path", format!("{} can be written", path.display())),
        Err(error) => {
            let remedy = "make it writable for this user, or set another storage.path";
            Line::new(
                Verdict::Bad,
                "storage.path",
                format!("cannot write in {}: {error}; {remedy}", nearest.display()),
            )
        }
    }
}

/// Whether a file of certificates or keys is one.
fn pem(key: &str, path: &Path) -> Line {
    let shown = path.display();
    match std::fs::read(path) {
        Ok(text) if memchr::memmem::find(&text, b"-----BEGIN ").is_some() => {
            Line::new(Verdict::Good, key, format!("{shown} can be read"))
        }
        Ok(_) => Line::new(Verdict::Bad, key, format!("{shown} is no PEM file: it has no line -----BEGIN …")),
        Err(error) => {
            let detail = format!("cannot read {shown}: {error}; check the path and who may read it");
            Line::new(Verdict::Bad, key, detail)
        }
    }
}

/// Every key that has a value, with where it comes from, in the shape of the file.
pub(super) fn configuration(loaded: &Loaded) -> String {
    let file = loaded.file.as_ref().map_or("none".into(), |path| path.display().to_string());
    let mut text = format!("# file: {file}\n");
    let tree = Value::serialize(&loaded.config).unwrap_or_else(|_| Value::from(false));
    for (path, value) in crate::config::leaves(&tree) {
        if let Some(value) = spelled(&value) {
            text.push_str(&line(&path, &value, loaded.origins.of(&path)));
        }
    }
    text
}

/// One line, its source in a column of its own.
fn line(path: &KeyPath, value: &str, origin: &Origin) -> String {
    let setting = format!("{path} = {value}");
    format!("{setting:<60} # {origin}\n")
}

/// A value as TOML spells it; none where nothing is set.
fn spelled(value: &Value) -> Option<String> {
    Some(match value {
        Value::Empty(_, Empty::None | Empty::Unit) => return None,
        Value::Dict(_, dict) if dict.is_empty() => return None,
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => {
            number.to_u128().map(|n| n.to_string()).or_else(|| number.to_i128().map(|n| n.to_string()))?
        }
        Value::Array(_, list) => {
            format!("[{}]", list.iter().filter_map(spelled).collect::<Vec<_>>().join(", "))
        }
        other => toml_edit::Value::from(other.as_str().unwrap_or_default()).to_string(),
    })
}
