//! Tests of the sample requests of a mapping file.

use std::path::Path;
use std::sync::Arc;

use crate::config::mapping::Mapping;
use crate::config::mapping::file::Sample;
use crate::decode::{Decoded, Hints, decode, recorded};
use crate::model::Reported;

/// Errors of the samples that fail; `folder` is that of the mapping file.
pub(in crate::cli) fn failures(mapping: &Arc<Mapping>, folder: &Path) -> Vec<String> {
    let wrong = |sample: &Sample| {
        let why = decode_sample(mapping, &folder.join(&sample.request))
            .and_then(|decoded| compare(sample, &decoded));
        why.err().map(|why| format!("{}: {why}", sample.request))
    };
    mapping.samples.iter().filter_map(wrong).collect()
}

/// Decodes a sample.
fn decode_sample(mapping: &Arc<Mapping>, path: &Path) -> Result<Decoded, String> {
    let file = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let hints =
        Hints { mappings: vec![Arc::clone(mapping)], alarms_per_report: 256, ..recorded::hints(&file) };
    decode(&recorded::read(&file, None), &hints).map_err(|error| error.to_string())
}

/// Compares a result with the sample.
fn compare(sample: &Sample, decoded: &Decoded) -> Result<(), String> {
    let alarm = decoded.alarms.first().map(|alarm| (alarm.event.as_str(), &alarm.device));
    let sign = decoded.signs.first().map(|sign| (if sign.test { "test" } else { "alive" }, &sign.device));
    let Some((event, device)) = alarm.or(sign) else { return Err("it holds no alarm".into()) };
    if event != sample.event {
        return Err(format!("it is {event}, and {} is expected", sample.event));
    }
    match sample.device.as_ref().filter(|wanted| !matches_device(device, wanted)) {
        Some(wanted) => Err(format!("its device is not {wanted}")),
        None => Ok(()),
    }
}

/// Returns whether a device has this name, MAC or identifier.
fn matches_device(device: &Reported, wanted: &str) -> bool {
    let mac = device.mac.map(|mac| mac.to_string());
    [mac.as_deref(), device.device_id.as_deref(), device.name.as_deref()].contains(&Some(wanted))
        || wanted.parse().is_ok_and(|wanted| device.mac == Some(wanted))
}
