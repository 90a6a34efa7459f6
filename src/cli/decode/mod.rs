//! `alarmbus decode`: shows the result of a recorded request, without any network.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::Global;
use crate::app::sinks::render_settings;
use crate::config::{Config, mapping};
use crate::decode::{Decoded, Hints, ReportProblem, recorded};
use crate::model::record::{DeviceRecord, Record};
use crate::model::time::clock::ZoneSetting;
use crate::model::value::{Content, CurrentValue, LogEntry, What};
use crate::model::{Picture, Source};
use crate::outbox::{self, Preview, Submission, ValueContent, ValueKey, WriterSettings};
use crate::render::{Message, PictureFate, Renderer, Sending};
use crate::terminal::{Code, Failure, out};

pub(super) mod draft;
mod explain;
pub(super) mod samples;

/// Flags of `decode`.
#[derive(Debug, Args)]
pub(super) struct DecodeArgs {
    /// A raw HTTP request or a bare body; - reads standard input
    file: PathBuf,
    /// Decoder: auto, vigi, vigi_nvr, generic, or the name of another maker
    #[arg(long, default_value = "auto")]
    vendor: String,
    /// A mapping file to decode with; can be repeated
    #[arg(long, value_name = "FILE")]
    mapping: Vec<PathBuf>,
    /// The Content-Type of a bare body
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Address of the sender, which identifies a device without an identifier
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    peer: IpAddr,
}

/// Rendering of a live alarm.
const LIVE: Sending = Sending { replayed: false, picture: PictureFate::Sent };

/// Decodes the file and prints messages, pictures and problems as one JSON document; before it, on standard error, a
/// summary and the results of the mapping's pointers.
pub(super) fn run(global: &Global, decode: &DecodeArgs) -> Result<(), Failure> {
    let config = global.load()?.config;
    let file = read(&decode.file)?;
    let body = recorded::read(&file, decode.content_type.as_deref());
    let webhook = config.webhooks.iter().find(|webhook| webhook.vendor == decode.vendor);
    let of_webhook = webhook.map(|webhook| webhook.mappings.clone()).unwrap_or_default();
    if mapping::vendors().all(|vendor| vendor != decode.vendor) {
        let all = mapping::vendors().collect::<Vec<_>>().join(", ");
        return Err(Failure::new(Code::Usage, format!("--vendor {}: write one of {all}", decode.vendor)));
    }
    let (mappings, warnings) = mapping::read_files(&decode.mapping, Path::new(""))?;
    let hints = Hints {
        vendor: decode.vendor.clone(),
        mappings: if mappings.is_empty() { of_webhook } else { mappings },
        pointers: webhook.map(|webhook| webhook.pointers.clone()).unwrap_or_default(),
        alarms_per_report: config.limits.alarms_per_report,
        ..recorded::hints(&file)
    };
    let bad = |error| Failure::new(Code::Data, format!("{}: {error}", decode.file.display()));
    let decoded = crate::decode::decode(&body, &hints).map_err(bad)?;
    out::print_stderr(&warnings.iter().map(|warning| format!("warning: {warning}\n")).collect::<String>());
    out::print_stderr(&explain::summary(&decoded));
    for explained in crate::decode::explain(&body, &hints).map_err(bad)? {
        out::print_stderr(&explain::explanation(&explained));
    }
    let zone = webhook.and_then(|webhook| ZoneSetting::parse(webhook.timezone.as_deref()?).ok());
    out::print_json(&report(&config, decoded, decode.peer, zone)?)
}

/// Reads the file or standard input.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| Failure::new(Code::Io, format!("cannot read {}: {error}", path.display())))
}

/// Everything a bridge without earlier alarms would publish, in order.
fn report(
    config: &Config,
    decoded: Decoded,
    peer: IpAddr,
    zone: Option<ZoneSetting>,
) -> Result<Value, Failure> {
    let renderer = Renderer::new(render_settings(config, "decode"))
        .map_err(|error| Failure::new(Code::Config, error.to_string()))?;
    let pictures: Vec<Value> = decoded.pictures.iter().map(picture).collect();
    let problems: Vec<Value> = decoded.problems.iter().map(problem).collect();
    let submission = Submission {
        id: Uuid::now_v7(),
        received_at: Timestamp::now(),
        received: Instant::now(),
        peer,
        webhook: "decode".into(),
        zone,
        heard: Vec::new(),
        alarms: decoded.alarms,
        pictures: decoded.pictures,
        request: None,
    };
    let kept = submission.pictures.clone();
    let preview = outbox::preview(Arc::new(WriterSettings::new(config)), submission);
    let messages = messages(&renderer, &preview, &kept);
    let messages: Vec<Value> = messages.iter().map(message).collect();
    Ok(json!({ "messages": messages, "pictures": pictures, "problems": problems }))
}

/// Values, then log entries. Announcements to Home Assistant are left out: they are long and do not depend on the
/// alarm.
fn messages(renderer: &Renderer, preview: &Preview, pictures: &[Picture]) -> Vec<Message> {
    let values = preview.values.iter().filter(|(key, _)| key.what != What::Discovery);
    let values = values.filter_map(|(key, value)| {
        let (content, device) = content(key, &value.held, value.source.as_ref(), preview, pictures)?;
        let (source, event) = (value.source.clone(), key.event.clone());
        let value = CurrentValue { source, what: key.what, event, version: value.version, device, content };
        renderer.value(&value, &LIVE)
    });
    let entries = preview.entries.iter().flat_map(|entry| {
        let picture = match &entry.record {
            Record::Alarm(alarm) => {
                alarm.snapshot.as_ref().and_then(|shot| data(shot.sha256.as_deref(), pictures))
            }
            Record::Activity(_) => None,
        };
        renderer.log(&LogEntry { no: entry.no, record: entry.record.clone(), picture }, &LIVE)
    });
    values.chain(entries).collect()
}

/// Content of a value, and its device.
fn content(
    key: &ValueKey,
    held: &ValueContent,
    source: Option<&Source>,
    preview: &Preview,
    pictures: &[Picture],
) -> Option<(Content, Option<DeviceRecord>)> {
    match held {
        ValueContent::Alarm(_, alarm) if key.what == What::Snapshot => {
            let bytes = data(alarm.snapshot.as_ref()?.sha256.as_deref(), pictures)?;
            Some((Content::Picture(Arc::clone(alarm), bytes), Some(alarm.device.clone())))
        }
        ValueContent::Alarm(_, alarm) => {
            Some((Content::Alarm(Arc::clone(alarm)), Some(alarm.device.clone())))
        }
        ValueContent::Text(text) => {
            let device = preview.entries.iter().find_map(|entry| match &entry.record {
                Record::Alarm(alarm) if Some(&alarm.source) == source => Some(alarm.device.clone()),
                _ => None,
            });
            let content = match key.what {
                What::Device => Content::Json(text.clone()),
                _ => Content::Text(text.clone()),
            };
            Some((content, device))
        }
    }
}

/// Bytes of a picture.
fn data(sha256: Option<&str>, pictures: &[Picture]) -> Option<Bytes> {
    let found = pictures.iter().find(|picture| sha256.is_some() && picture.sha256.as_deref() == sha256);
    found.map(|picture| picture.data.clone())
}

/// A message as JSON: JSON payloads inline, text as text, a picture by its size.
fn message(message: &Message) -> Value {
    let payload = match message.content_type {
        "application/json" => serde_json::from_slice(&message.payload).unwrap_or(Value::Null),
        "image/jpeg" => Value::from(format!("{} bytes of JPEG", message.payload.len())),
        _ => Value::from(String::from_utf8_lossy(&message.payload)),
    };
    json!({ "topic": message.topic, "retain": message.retain, "payload": payload })
}

/// A picture as JSON.
fn picture(picture: &Picture) -> Value {
    let (width, height) = picture.dimensions.map(|size| (size.width, size.height)).unzip();
    json!({
        "bytes": picture.bytes, "sha256": picture.sha256, "width": width, "height": height,
        "problem": picture.problem,
    })
}

/// A problem as JSON.
fn problem(problem: &ReportProblem) -> Value {
    json!({ "code": problem.code, "detail": problem.detail })
}
