//! `alarmbus decode`: what a recorded request would become, without any network.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Code, Failure, Global, out, request};
use crate::config::template::{Placeholder, Template};
use crate::config::{Config, Topics};
use crate::model::{Alarm, DeviceKind, Picture, Reported, Source, slug::slug};
use crate::vendor::{self, Decoded, Hints, Problem};

/// Flags of `decode`.
#[derive(Debug, Args)]
pub(super) struct Decode {
    /// A raw HTTP request or a bare body; - reads standard input
    file: PathBuf,
    /// How to decode: auto, vigi, vigi_nvr, generic
    #[arg(long, default_value = "auto")]
    vendor: String,
    /// The Content-Type of a bare body
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
}

/// Decodes the file and prints alarms, topics, pictures and problems as one JSON document.
pub(super) fn run(global: &Global, decode: &Decode) -> Result<(), Failure> {
    let config = global.load()?.config;
    let file = read(&decode.file)?;
    let body = request::read(&file, decode.content_type.as_deref());
    let named = config.webhooks.iter().find(|webhook| webhook.vendor == decode.vendor);
    let hints = Hints {
        vendor: decode.vendor.clone(),
        pointers: named.map(|webhook| webhook.pointers.clone()).unwrap_or_default(),
        alarms_per_report: config.limits.alarms_per_report,
    };
    let decoded = vendor::decode(&body, &hints)
        .map_err(|error| Failure::new(Code::Data, format!("{}: {error}", decode.file.display())))?;
    out::print_json(&report(&config, &decoded))
}

/// The bytes of the file or of standard input.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| Failure::new(Code::Io, format!("cannot read {}: {error}", path.display())))
}

/// Everything that was made out.
fn report(config: &Config, decoded: &Decoded) -> Value {
    let alarms: Vec<Value> = decoded.alarms.iter().map(|each| alarm(config, each)).collect();
    let pictures: Vec<Value> = decoded.pictures.iter().map(picture).collect();
    let problems: Vec<Value> = decoded.problems.iter().map(problem).collect();
    json!({ "alarms": alarms, "pictures": pictures, "problems": problems })
}

/// One alarm with the topics it would be published under.
fn alarm(config: &Config, alarm: &Alarm) -> Value {
    let source = source(&alarm.device);
    json!({
        "event": alarm.event, "event_raw": alarm.event_raw, "title": alarm.event.title(),
        "source": source, "device": device(&alarm.device), "time_raw": alarm.time_raw,
        "count": alarm.count, "regions": alarm.regions, "boxes": alarm.boxes,
        "picture": alarm.picture, "extra": alarm.extra, "truncated": alarm.truncated,
        "topics": topics(&config.topics, &config.mqtt.base_topic, alarm, &source),
    })
}

/// What the report says of its device.
fn device(device: &Reported) -> Value {
    json!({
        "mac": device.mac, "device_id": device.device_id, "name": device.name, "ip": device.ip,
        "vendor": device.vendor, "kind": device.kind, "channel": device.channel,
        "channel_name": device.channel_name,
    })
}

/// The source, as far as a report alone tells it: a file has no peer.
fn source(device: &Reported) -> Source {
    let by_id = || device.device_id.as_deref().and_then(Source::of_id);
    let source = device.mac.map(Source::of_mac).or_else(by_id);
    let source = source.or_else(|| device.ip.as_deref().map(Source::of_ip)).unwrap_or_else(Source::unlisted);
    match device.channel {
        Some(channel) if device.kind == DeviceKind::Recorder || 1 < channel => source.channel(channel),
        _ => source,
    }
}

/// The topics by key.
fn topics(topics: &Topics, base: &str, alarm: &Alarm, source: &Source) -> Value {
    let mac = alarm.device.mac.map(|mac| mac.hex()).unwrap_or_default();
    let channel = alarm.device.channel.unwrap_or(1).to_string();
    let name = alarm.device.name.as_deref().and_then(slug).unwrap_or_else(|| source.to_string());
    let value = |placeholder: Placeholder| match placeholder {
        Placeholder::Base => base,
        Placeholder::Source => source.as_str(),
        Placeholder::Event => alarm.event.as_str(),
        Placeholder::Id => "<id>",
        Placeholder::Mac => &mac,
        Placeholder::Channel => &channel,
        Placeholder::Name => &name,
        Placeholder::Vendor => alarm.device.vendor,
    };
    let all = topics.all().into_iter();
    all.filter_map(|(key, text)| {
        Some((key.to_owned(), Value::from(Template::parse(text).ok()?.render(value))))
    })
    .collect::<serde_json::Map<_, _>>()
    .into()
}

/// One picture.
fn picture(picture: &Picture) -> Value {
    let (width, height) = picture.dimensions.map(|size| (size.width, size.height)).unzip();
    json!({
        "bytes": picture.bytes, "sha256": picture.sha256, "width": width, "height": height,
        "problem": picture.problem,
    })
}

/// One problem.
fn problem(problem: &Problem) -> Value {
    json!({ "code": problem.code, "detail": problem.detail })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::Config;
    use crate::model::{Alarm, DeviceKind, EventName, Reported};

    /// An alarm of a device.
    fn alarm(mac: Option<&str>, kind: DeviceKind, channel: Option<u32>) -> Alarm {
        Alarm {
            event: EventName::new("person"),
            event_raw: "PEOPLE".into(),
            device: Reported {
                mac: mac.map(|mac| mac.parse().unwrap()),
                device_id: Some("Box 1".into()),
                name: None,
                ip: None,
                vendor: "vigi",
                kind,
                channel,
                channel_name: None,
            },
            time_raw: None,
            count: None,
            regions: Vec::new(),
            boxes: Vec::new(),
            picture: None,
            extra: serde_json::Map::new(),
            truncated: false,
        }
    }

    #[track_caller]
    fn check(alarm: &Alarm, source: &str) {
        let shown = super::alarm(&Config::default(), alarm);
        assert_eq!(shown["source"], json!(source));
        assert_eq!(shown["topics"]["event"], json!(format!("alarmbus/{source}/event/person")));
        assert_eq!(shown["topics"]["snapshot"], json!(format!("alarmbus/{source}/snapshot")));
    }

    #[test]
    fn topics_are_those_of_the_source() {
        let mac = Some("98-BA-5F-8B-10-03");
        check(&alarm(mac, DeviceKind::Camera, Some(1)), "98ba5f8b1003");
        check(&alarm(mac, DeviceKind::Camera, Some(2)), "98ba5f8b1003-2");
        check(&alarm(None, DeviceKind::Recorder, Some(1)), "box_1-1");
        check(&alarm(None, DeviceKind::Recorder, None), "box_1");
    }
}
