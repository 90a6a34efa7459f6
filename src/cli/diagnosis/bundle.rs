//! `alarmbus bundle`: an archive for a bug report. It contains a fixed list of files; every text is masked, and
//! pictures are left out.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::check;
use super::mask::Mask;
use crate::cli::Global;
use crate::cli::running::control::{ControlClient, text};
use crate::config::Config;
use crate::terminal::{Code, Failure, out};

/// Maximum number of requests in the archive.
const MAX_REQUESTS: usize = 100;

/// Flags of `bundle`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BundleArgs {
    /// File to write
    #[arg(long, short, value_name = "FILE", default_value = "alarmbus-bundle.tar.gz")]
    output: PathBuf,
}

/// Writes the archive.
pub(in crate::cli) fn run(global: &Global, bundle: &BundleArgs) -> Result<(), Failure> {
    let loaded = global.load()?;
    let control = ControlClient::of(loaded.config.storage.path.clone());
    let mut mask = Mask::new(secrets(&loaded.config, &control));
    let mut files = vec![
        ("versions.json".to_owned(), versions().to_string()),
        ("configuration.txt".to_owned(), check::configuration(&loaded)),
    ];
    if control.is_running() {
        files.extend(of_the_bridge(&control)?);
    } else {
        files.push(("no-bridge.txt".into(), "No bridge was running.\n".into()));
    }
    let masked: Vec<(String, String)> =
        files.into_iter().map(|(name, text)| (name, mask.text(&text))).collect();
    write(&bundle.output, &masked).map_err(|error| {
        Failure::new(Code::Io, format!("{} cannot be written: {error}", bundle.output.display()))
    })?;
    out::print(&format!(
        "{} holds {} files; secrets, MAC and network addresses are masked, pictures are left out. Check it before you send it.\n",
        bundle.output.display(),
        masked.len()
    ))
}

/// All known secrets, which are masked in every text.
fn secrets(config: &Config, control: &ControlClient) -> Vec<String> {
    let of_config = [
        &config.admin.password,
        &config.admin.token,
        &config.mqtt.password,
        &config.nats.password,
        &config.nats.token,
        &config.nats.nkey,
        &config.cluster.password,
        &config.cluster.token,
        &config.cluster.nkey,
        &config.broker.password,
    ];
    let mut secrets = config.notify.secrets();
    secrets.extend(of_config.into_iter().flatten().map(|secret| secret.expose().to_owned()));
    let mut paths: Vec<String> = config
        .webhooks
        .iter()
        .filter_map(|webhook| Some(webhook.path.as_ref()?.expose().to_owned()))
        .collect();
    let kept = control.get("/webhooks").unwrap_or_default();
    let kept = kept.get("webhooks").and_then(Value::as_array).cloned().unwrap_or_default();
    paths.extend(kept.iter().map(|webhook| text(webhook, "path").to_owned()));
    secrets.extend(
        paths.iter().filter_map(|path| Some(path.trim_end_matches('/').rsplit_once('/')?.1.to_owned())),
    );
    for server in config.mqtt.server.iter().chain(&config.nats.servers) {
        let url = url::Url::parse(server).ok();
        secrets.extend(url.and_then(|url| url.password().map(str::to_owned)));
    }
    secrets
}

/// Versions of program and system.
fn versions() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    json!({
        "alarmbus": env!("CARGO_PKG_VERSION"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "system": read("/etc/os-release"),
        "architecture": std::env::consts::ARCH,
        "at": jiff::Timestamp::now().to_string(),
    })
}

/// Files with the state of the running bridge.
fn of_the_bridge(control: &ControlClient) -> Result<Vec<(String, String)>, Failure> {
    let mut files = Vec::new();
    for name in ["health", "findings", "sinks", "parked", "devices", "alarms-by-hour"] {
        files.push((format!("{name}.json"), format!("{:#}\n", control.get(&format!("/{name}"))?)));
    }
    let setup = control.get("/setup")?;
    files.push(("chain.json".into(), format!("{:#}\n", setup.get("chain").unwrap_or(&Value::Null))));
    let page = control.get(&format!("/requests?limit={MAX_REQUESTS}"))?;
    for row in page.get("requests").and_then(Value::as_array).into_iter().flatten() {
        let Some(no) = row.get("no").and_then(Value::as_i64) else { continue };
        // A request may have been deleted since the list was made.
        let Ok(request) = control.get(&format!("/requests/{no}")) else { continue };
        files.push((format!("requests/{no:06}.http"), capture(&request)));
    }
    Ok(files)
}

/// A request as text: result, head, and body without pictures.
fn capture(request: &Value) -> String {
    let body = STANDARD.decode(text(request, "body")).unwrap_or_default();
    format!(
        "# {} from {}, answered {}: {}\n{}\r\n{}",
        text(request, "at"),
        text(request, "peer"),
        request.get("status").unwrap_or(&Value::Null),
        text(request, "verdict"),
        text(request, "head"),
        without_pictures(&body)
    )
}

/// A body as text, each picture replaced by its size.
fn without_pictures(body: &[u8]) -> String {
    let mut kept = Vec::new();
    let mut rest = body;
    while let Some(start) = memchr::memmem::find(rest, &[0xff, 0xd8, 0xff]) {
        let (before, picture) = rest.split_at(start);
        kept.extend_from_slice(before);
        let end =
            memchr::memmem::find(picture, b"\r\n--").or_else(|| memchr::memmem::find(picture, b"\r\n["));
        let (picture, after) = picture.split_at(end.unwrap_or(picture.len()));
        kept.extend_from_slice(format!("[picture, {} bytes left out]", picture.len()).as_bytes());
        rest = after;
    }
    kept.extend_from_slice(rest);
    String::from_utf8_lossy(&kept).into_owned()
}

/// Writes the archive, readable by its owner only.
fn write(path: &std::path::Path, files: &[(String, String)]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("alarmbus-bundle/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}
