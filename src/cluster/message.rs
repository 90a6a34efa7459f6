//! Messages of the input stream and records of the log.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::alarm::SameEvent;
use crate::model::picture::jpeg::Dimensions;
use crate::model::record::SnapshotProblem;
use crate::model::time::clock::ZoneSetting;
use crate::model::{Alarm, BoundingBox, DeviceKind, EventName, Mac, Picture, Reported, ReportedState};
use crate::outbox::cluster::Decision;
use crate::outbox::{ClusterAction, DeviceChange, Submission};

/// Newest version of messages and records that is read.
pub(super) const VERSION: u32 = 1;
/// Maximum bytes of a message of the input stream, if its report can be divided. A decision is somewhat larger, and
/// NATS servers accept 1 MiB.
pub(super) const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// The part of messages and records that every version has.
#[derive(Debug, Deserialize)]
pub(super) struct MessageHead {
    pub(super) v: u32,
    #[serde(default)]
    pub(super) by: String,
    /// Of a record: sequence of the previous valid one.
    #[serde(default)]
    pub(super) prev: u64,
}

/// A message of the input stream: a report, or an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) v: u32,
    pub(super) by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) report: Option<ReportMessage>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "do")]
    pub(super) action: Option<ClusterAction>,
    /// Identifier of an action, whose instance waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Uuid>,
}

impl Input {
    /// Reads a message.
    ///
    /// # Errors
    /// With the reason for which it is not understood.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let head: MessageHead = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if VERSION < head.v {
            return Err(format!("{} wrote it in version {}, this one reads {VERSION}", head.by, head.v));
        }
        let input: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if input.report.is_none() && input.action.is_none() {
            return Err(format!("{} wrote neither a report nor an action", input.by));
        }
        Ok(input)
    }

    /// Its stored pictures, by their hashes; `all` are those of the report, concatenated.
    pub(super) fn pictures<'a>(&'a self, all: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let mut rest = all;
        self.report.iter().flat_map(|report| &report.pictures).filter_map(move |shot| {
            let sha256 = shot.sha256.as_deref()?;
            let size = usize::try_from(shot.bytes).unwrap_or(usize::MAX).min(rest.len());
            let (data, others) = rest.split_at(size);
            rest = others;
            Some((sha256, data))
        })
    }

    /// Returns whether it removes a device.
    pub(super) fn is_removal(&self) -> bool {
        matches!(self.action, Some(ClusterAction::Device(DeviceChange::Remove(_))))
    }

    /// The same in messages of one partition each: devices of a report may belong to several. `at` are the partitions of
    /// the devices at an address, for a sign of life that does not name its device.
    pub(super) fn by_partition(
        self,
        of: impl Fn(Reported, IpAddr) -> u64,
        at: impl Fn(IpAddr) -> BTreeSet<u64>,
    ) -> Vec<(u64, Self)> {
        let Some(report) = self.report else { return vec![(0, self)] };
        let peer = report.peer;
        let empty = ReportMessage { alarms: Vec::new(), heard: Vec::new(), ..report.clone() };
        let mut reports: BTreeMap<u64, ReportMessage> = BTreeMap::new();
        for alarm in report.alarms {
            let k = of(alarm.device.clone().reported(), peer);
            reports.entry(k).or_insert_with(|| empty.clone()).alarms.push(alarm);
        }
        for device in report.heard {
            let reported = device.clone().reported();
            let mut ks = if reported.is_unidentified() { at(peer) } else { BTreeSet::new() };
            if ks.is_empty() {
                ks.insert(of(reported, peer));
            }
            for k in ks {
                reports.entry(k).or_insert_with(|| empty.clone()).heard.push(device.clone());
            }
        }
        let input = |(k, report)| {
            (k, Self { v: self.v, by: self.by.clone(), report: Some(report), action: None, id: None })
        };
        reports.into_iter().map(input).collect()
    }

    /// Divides it into messages of at most [`MAX_MESSAGE_BYTES`] bytes. The order is kept. An alarm that is larger loses
    /// fields, as its record would.
    pub(super) fn parts(mut self) -> Vec<Self> {
        let large = serde_json::to_vec(&self).is_ok_and(|body| MAX_MESSAGE_BYTES < body.len());
        let Some(report) = self.report.as_mut().filter(|_| large) else { return vec![self] };
        if let [alarm] = report.alarms.as_mut_slice() {
            alarm.shorten();
        }
        if report.alarms.len() < 2 {
            return vec![self];
        }
        let second = report.alarms.split_off(report.alarms.len() / 2);
        let second = ReportMessage { alarms: second, heard: Vec::new(), ..report.clone() };
        let second = Self { report: Some(second), ..self.clone() };
        let mut parts = self.parts();
        parts.extend(second.parts());
        parts
    }
}

/// A report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ReportMessage {
    pub(super) id: Uuid,
    pub(super) received_at: Timestamp,
    webhook: String,
    peer: IpAddr,
    zone: Option<String>,
    pub(super) alarms: Vec<AlarmMessage>,
    heard: Vec<Device>,
    pub(super) pictures: Vec<Shot>,
}

/// An alarm.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AlarmMessage {
    pub(super) id: Uuid,
    event: EventName,
    event_raw: String,
    device: Device,
    time_raw: Option<String>,
    count: Option<u32>,
    regions: Vec<u32>,
    boxes: Vec<BoundingBox>,
    picture: Option<usize>,
    details: Map<String, Value>,
    state: Option<ReportedState>,
    #[serde(default)]
    same: Option<SameEvent>,
    extra: Map<String, Value>,
    truncated: bool,
}

/// Device of an alarm.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Device {
    mac: Option<Mac>,
    device_id: Option<String>,
    name: Option<String>,
    ip: Option<String>,
    vendor: String,
    kind: DeviceKind,
    channel: Option<u32>,
    channel_name: Option<String>,
    #[serde(default)]
    model: Option<String>,
}

/// A picture; its bytes are in other messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Shot {
    pub(super) sha256: Option<String>,
    pub(super) bytes: u64,
    size: Option<(u32, u32)>,
    problem: Option<SnapshotProblem>,
}

/// A record of the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LogRecord {
    pub(super) v: u32,
    pub(super) k: u64,
    /// Sequence of the previous valid record.
    pub(super) prev: u64,
    /// Sequence of the last message of the input stream that it decides.
    #[serde(rename = "in")]
    pub(super) input: u64,
    pub(super) by: String,
    /// Random number that identifies the record.
    pub(super) nonce: Uuid,
    /// `take` or `decide`.
    pub(super) kind: String,
    pub(super) at: Timestamp,
    /// Actions that it decides, each with whether there was something to change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) done: Vec<(Uuid, bool)>,
    #[serde(flatten)]
    pub(super) decision: Decision,
}

impl ReportMessage {
    /// Converts a report; `ids` are those of its alarms.
    pub(super) fn of(submission: &Submission, ids: &[Uuid]) -> Self {
        let alarms =
            submission.alarms.iter().zip(ids).map(|(alarm, id)| AlarmMessage::of(alarm, *id)).collect();
        let shot = |picture: &Picture| Shot {
            sha256: picture.sha256.clone(),
            bytes: picture.bytes,
            size: picture.dimensions.map(|size| (size.width, size.height)),
            problem: picture.problem,
        };
        Self {
            id: submission.id,
            received_at: submission.received_at,
            webhook: submission.webhook.clone(),
            peer: submission.peer,
            zone: submission.zone.as_ref().and_then(zone_text),
            alarms,
            heard: submission.heard.iter().map(Device::of).collect(),
            pictures: submission.pictures.iter().map(shot).collect(),
        }
    }

    /// Converts it back into a report for the ledger.
    pub(super) fn submission(self) -> Submission {
        let picture = |shot: Shot| Picture {
            data: bytes::Bytes::new(),
            bytes: shot.bytes,
            sha256: shot.sha256,
            dimensions: shot.size.map(|(width, height)| Dimensions { width, height }),
            problem: shot.problem,
        };
        Submission {
            id: self.id,
            received_at: self.received_at,
            received: tokio::time::Instant::now(),
            peer: self.peer,
            webhook: self.webhook,
            zone: self.zone.and_then(|zone| ZoneSetting::parse(&zone).ok()),
            alarms: self.alarms.into_iter().map(AlarmMessage::alarm).collect(),
            heard: self.heard.into_iter().map(Device::reported).collect(),
            pictures: self.pictures.into_iter().map(picture).collect(),
            request: None,
        }
    }
}

/// The setting in the syntax of the configuration.
fn zone_text(zone: &ZoneSetting) -> Option<String> {
    let ZoneSetting::Fixed(zone) = zone else { return None };
    let offset = || zone.to_fixed_offset().ok().map(|offset| offset.seconds());
    zone.iana_name().map(str::to_owned).or_else(|| {
        let seconds = offset()?;
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
        Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
    })
}

impl AlarmMessage {
    /// Leaves out what takes it past [`MAX_MESSAGE_BYTES`].
    fn shorten(&mut self) {
        let mut room = MAX_MESSAGE_BYTES / 2;
        let mut fits = |size: usize| {
            let fits = size <= room;
            room = if fits { room - size } else { 0 };
            fits
        };
        let size = |key: &str, value: &Value| key.len() + value.to_string().len() + 4;
        let details = std::mem::take(&mut self.details);
        self.details = details.into_iter().take_while(|(key, value)| fits(size(key, value))).collect();
        self.boxes.truncate(1_000);
        let extra = std::mem::take(&mut self.extra);
        self.extra = extra.into_iter().take_while(|(key, value)| fits(size(key, value))).collect();
        self.truncated = true;
    }

    fn of(alarm: &Alarm, id: Uuid) -> Self {
        let of = alarm.clone();
        Self {
            id,
            event: of.event,
            event_raw: of.event_raw,
            device: Device::of(&of.device),
            time_raw: of.time_raw,
            count: of.count,
            regions: of.regions,
            boxes: of.boxes,
            picture: of.picture,
            details: of.details,
            state: of.state,
            same: of.same,
            extra: of.extra,
            truncated: of.truncated,
        }
    }

    fn alarm(self) -> Alarm {
        Alarm {
            event: self.event,
            event_raw: self.event_raw,
            device: self.device.reported(),
            time_raw: self.time_raw,
            count: self.count,
            regions: self.regions,
            boxes: self.boxes,
            picture: self.picture,
            details: self.details,
            state: self.state,
            same: self.same,
            extra: self.extra,
            truncated: self.truncated,
        }
    }
}

impl Device {
    fn of(reported: &Reported) -> Self {
        let of = reported.clone();
        Self {
            mac: of.mac,
            device_id: of.device_id,
            name: of.name,
            ip: of.ip,
            vendor: of.vendor.into_owned(),
            kind: of.kind,
            channel: of.channel,
            channel_name: of.channel_name,
            model: of.model,
        }
    }

    fn reported(self) -> Reported {
        Reported {
            mac: self.mac,
            device_id: self.device_id,
            name: self.name,
            ip: self.ip,
            vendor: self.vendor.into(),
            kind: self.kind,
            channel: self.channel,
            channel_name: self.channel_name,
            model: self.model,
        }
    }
}

#[cfg(test)]
mod tests;
