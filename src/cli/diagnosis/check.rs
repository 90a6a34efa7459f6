//! `alarmbus check`: checks the configuration, and tests ports, files and connections.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use figment::value::Value;

use super::healthcheck;
use crate::app::identity::InstanceIdentity;
use crate::app::sinks::sink_test::SinkTest;
use crate::app::{self, webhooks};
use crate::cli::decode::samples;
use crate::cli::{Global, serve, supervisor};
use crate::config::mapping::Mapping;
use crate::config::{self, Config, KeyPath, Loaded, Origin};
use crate::terminal::{Code, Failure, out};
use crate::tls::server::Certificate;

/// Flags of `check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// Only print the configuration with the source of each value, secrets masked; test nothing
    #[arg(long)]
    print: bool,
}

/// Result of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It works.
    Good,
    /// It works, with a warning.
    Warning,
    /// It does not work.
    Bad,
}

/// Result of one test as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Result.
    verdict: Verdict,
    /// Name of the test: `mqtt`, `http.bind`.
    what: String,
    /// Details; for [`Verdict::Bad`] with the remedy.
    detail: String,
}

impl Line {
    /// Creates a line.
    fn new(verdict: Verdict, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { verdict, what: what.into(), detail: detail.into() }
    }
}

/// Prints the configuration, then runs all tests. Exit code 69 if one fails.
pub(in crate::cli) fn run(global: &Global, check: &CheckArgs) -> Result<(), Failure> {
    let (sources, no_broker) = supervisor::with_broker(global, Vec::new())?;
    let loaded = config::load(&sources)?;
    if check.print {
        return out::print(&configuration(&loaded));
    }
    let file = loaded.file.as_ref().map_or("no file".into(), |path| path.display().to_string());
    let mut lines = vec![Line::new(Verdict::Good, "configuration", file)];
    lines.extend(loaded.warnings.iter().map(|w| Line::new(Verdict::Warning, "configuration", w.to_string())));
    lines.extend(serve::zone_of_machine().map(|why| Line::new(Verdict::Warning, "TZ", why)));
    lines.extend(no_broker.map(|why| Line::new(Verdict::Warning, "configuration", why)));
    lines.extend(try_mappings(&loaded)?);
    lines.extend(try_host(&loaded.config));
    lines.extend(test_sinks(&loaded.config)?);
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
    Err(Failure::new(Code::Unavailable, format!("{bad} of {} tests failed", lines.len())))
}

/// Tests each mapping file with its samples.
fn try_mappings(loaded: &Loaded) -> Result<Vec<Line>, Failure> {
    let storage = &loaded.config.storage.path;
    let kept = InstanceIdentity::open_kept(storage);
    let added = webhooks::added(&kept, storage)?;
    let base = loaded.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let configured = loaded.config.webhooks.iter().map(|webhook| (webhook, base));
    let mut lines = Vec::new();
    for (number, (webhook, base)) in
        configured.chain(added.iter().map(|webhook| (webhook, storage.as_path()))).enumerate()
    {
        let id = webhook.id.clone().unwrap_or_else(|| format!("webhook-{}", number + 1));
        for (path, mapping) in webhook.mapping.iter().zip(&webhook.mappings) {
            lines.push(try_mapping(&format!("webhook {id}"), &base.join(path), mapping));
        }
    }
    Ok(lines)
}

/// Tests one mapping file.
fn try_mapping(what: &str, path: &Path, mapping: &Arc<Mapping>) -> Line {
    let kind = mapping.kind.first().map_or_else(
        || {
            format!(
                "every alarm is {}",
                mapping.kind_default.as_deref().unwrap_or("of the kind that its rules determine")
            )
        },
        |pointer| {
            format!(
                "the kind is at {pointer}, with {} known names",
                mapping.kinds.len() + mapping.codes.len()
            )
        },
    );
    let about = format!("mapping {} of maker {}: {kind}", path.display(), mapping.name);
    let failures = samples::failures(mapping, path.parent().unwrap_or(Path::new("")));
    let all = mapping.samples.len();
    match (all, failures.as_slice()) {
        (0, _) => Line::new(Verdict::Good, what, format!("{about}; it has no samples")),
        (_, []) => Line::new(Verdict::Good, what, format!("{about}; all of its samples ({all}) pass")),
        _ => {
            let remedy = "correct the mapping or the sample; `alarmbus decode FILE --mapping F` explains it";
            Line::new(
                Verdict::Bad,
                what,
                format!(
                    "{about}; {} of {all} samples fail: {}; {remedy}",
                    failures.len(),
                    failures.join("; ")
                ),
            )
        }
    }
}

/// Connects to every sink that is on.
fn test_sinks(config: &Config) -> Result<Vec<Line>, Failure> {
    if app::sinks::wants_embedded(config) {
        let bind = config.broker.bind;
        let detail =
            format!("no sink is on, so the embedded broker runs, at {bind} or the next port that is free");
        return Ok(vec![Line::new(Verdict::Good, "broker", detail)]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tests = runtime.block_on(app::sinks::sink_test::test_sinks(config));
    let line = |test: SinkTest| match test.outcome {
        Ok(description) => Line::new(Verdict::Good, test.name, description),
        Err(reason) => Line::new(Verdict::Bad, test.name, reason),
    };
    Ok(tests.into_iter().map(line).collect())
}

/// Tests ports, storage folder and certificates.
fn try_host(config: &Config) -> Vec<Line> {
    let running = config.admin.bind.port() != 0 && healthcheck::is_running(&config.admin);
    let mut binds = vec![("http.bind", config.http.bind), ("admin.bind", config.admin.bind)];
    binds.extend(config.https.as_ref().map(|https| ("https.bind", https.bind)));
    let mut lines: Vec<Line> = binds.into_iter().map(|(key, address)| bind(key, address, running)).collect();
    lines.push(folder(&config.storage.path));
    let Config { admin, mqtt, nats, notify, https, .. } = config;
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
        ("notify.ca", &notify.ca),
    ];
    lines.extend(files.into_iter().filter_map(|(key, path)| path.as_deref().map(|path| pem(key, path))));
    let pairs = [("https", https_files.0, https_files.1), ("admin", &admin.cert, &admin.key)];
    lines.extend(
        pairs.into_iter().filter_map(|(name, cert, key)| pair(name, cert.as_deref()?, key.as_deref()?)),
    );
    lines
}

/// Tests whether a listener can bind its port. While the bridge runs (`running`), its ports are in use by itself.
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

/// Tests whether the storage folder can be written; for one that does not exist yet, the nearest existing parent.
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

/// Tests whether a file contains PEM certificates or keys.
fn pem(key: &str, path: &Path) -> Line {
    let shown = path.display();
    match std::fs::read(path) {
        Ok(text) if memchr::memmem::find(&text, b"-----BEGIN ").is_some() => {
            Line::new(Verdict::Good, key, format!("{shown} can be read"))
        }
        Ok(_) => {
            Line::new(Verdict::Bad, key, format!("{shown} is not a PEM file: it has no line -----BEGIN …"))
        }
        Err(error) => {
            let detail = format!("cannot read {shown}: {error}; check the path and its permissions");
            Line::new(Verdict::Bad, key, detail)
        }
    }
}

/// Tests whether certificate and key of a listener belong together, if both can be read.
fn pair(listener: &str, cert: &Path, key: &Path) -> Option<Line> {
    let (cert, key) = (std::fs::read(cert).ok()?, std::fs::read(key).ok()?);
    let error = Certificate::from_pem(&cert, &key).err()?;
    Some(Line::new(Verdict::Bad, listener, error.to_string()))
}

/// All keys with a value, each with its source, in the form of the configuration file.
pub(in crate::cli) fn configuration(loaded: &Loaded) -> String {
    let file = loaded.file.as_ref().map_or("none".into(), |path| path.display().to_string());
    let mut text = format!("# file: {file}\n");
    let tree = Value::serialize(&loaded.config).unwrap_or_else(|_| Value::from(false));
    for (path, value) in crate::config::leaves(&tree) {
        if let Some(value) = crate::config::spelled(&value) {
            text.push_str(&line(&path, &value, loaded.origins.of(&path)));
        }
    }
    text
}

/// One line with the source in its own column.
fn line(path: &KeyPath, value: &str, origin: &Origin) -> String {
    let setting = format!("{path} = {value}");
    format!("{setting:<60} # {origin}\n")
}
